package verify

// minKey is the size of the shortest key that Standard Webhooks allows, in bytes.
const minKey = 24

// issuedKeys are the sizes, in bytes, of the keys that providers issue, where these
// are shorter than minKey: nobody can choose a longer one.
var issuedKeys = map[string]int{
	"dropbox":     15, // gitleaks/gitleaks cmd/generate/config/rules/dropbox.go
	"sinch-voice": 16, // Sinch docs, Callback request signing
	"zoom":        22, // 16 bytes as base64 text, as Zoom shows them
}

// ShortKey reports whether a key is short enough to be guessed by someone who has seen
// a signature that it made. It returns the size of the shortest one and what it should
// be at least, in bytes. Secrets that are not valid are left out. Tokens are never
// reported: without a signature to compare with, each guess costs a request.
func (s Scheme) ShortKey(secrets []string) (size, atLeast int, short bool) {
	atLeast = minKey
	if issued, ok := issuedKeys[s.Name]; ok {
		atLeast = issued
	}
	size = atLeast
	decode := keyKinds[s.Key]
	if s.Construction == "token" || decode == nil {
		return size, atLeast, false
	}
	for _, secret := range secrets {
		if key, err := decode(secret); err == nil {
			size = min(size, len(key))
		}
	}
	return size, atLeast, size < atLeast
}
