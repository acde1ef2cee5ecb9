package verify

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Outgoing is a message to be signed.
type Outgoing struct {
	// Method is the request's method. If empty, it is POST.
	Method string
	// URL is the absolute URL to which the message is sent. Only schemes that sign it
	// need it.
	URL string
	// ID and EventType are sent if the scheme has headers for them, and required if it
	// signs them.
	ID, EventType string
	// Timestamp is the time of signing.
	Timestamp time.Time
	// Body is the request's body.
	Body []byte
}

// Signer signs messages by one scheme. It is safe for concurrent use.
type Signer struct {
	plan *plan
	keys []*key
}

// NewSigner returns a signer for a scheme. An error says why the scheme can't sign, or
// which secret is wrong, by its position.
func NewSigner(s Scheme, secrets []string) (*Signer, error) {
	p, err := compile(s)
	if err != nil {
		return nil, err
	}
	if err := p.canSign(); err != nil {
		return nil, fmt.Errorf("signing as %s: %w", s.Name, err)
	}
	keys, err := newKeys(s, secrets)
	if err != nil {
		return nil, fmt.Errorf("signing as %s: %w", s.Name, err)
	}
	for i, k := range keys {
		if s.asymmetric() && k.private == nil {
			return nil, fmt.Errorf("signing as %s: secret %d of %d: it is a public key, which can't sign; give the private one", s.Name, i+1, len(keys))
		}
	}
	return &Signer{plan: p, keys: keys}, nil
}

// Sign sets the scheme's headers in h: id, event type, timestamp and signature. With
// several secrets, all signatures are set if the scheme has room for them, otherwise
// only the first.
func (s *Signer) Sign(h http.Header, m *Outgoing) error {
	if err := s.sign(h, m); err != nil {
		return fmt.Errorf("signing as %s: %w", s.plan.scheme.Name, err)
	}
	return nil
}

func (s *Signer) sign(h http.Header, m *Outgoing) error {
	c := checks.Get().(*check)
	defer c.recycle()
	var err error
	if c.in, err = s.input(h, m); err != nil {
		return err
	}
	p, in, cand := s.plan, &c.in, &c.oneCandidate[0]
	content, err := s.template(in)
	if err != nil {
		return err
	}
	if in.hostport == "" && content.includesURL() {
		return errors.New("it signs the URL, which the message doesn't have; give an absolute one")
	}
	cand.content, cand.origin = content, in.origin()
	if p.timestamp.in != "" && !p.timestamp.inBody() {
		cand.timestamp = p.timeFormat.format(m.Timestamp)
	}
	if err := s.setHeaders(h, in, cand); err != nil {
		return err
	}
	cand.items = s.items(in, cand)
	if err := s.readBodyValues(in, cand); err != nil {
		return err
	}
	macs, err := s.macs(in, cand)
	if err != nil {
		return err
	}
	s.setSignature(h, cand, macs)
	s.setSent(h, in, cand, m.Timestamp, macs[0])
	return nil
}

// Mask replaces the signatures that Sign has set in h.
func (s *Signer) Mask(h http.Header, mask string) {
	for _, name := range s.plan.headers {
		if _, ok := h[name]; ok {
			h[name] = []string{mask}
		}
	}
}

// template returns the content to sign for a message.
func (s *Signer) template(in *input) (*template, error) {
	p, tags := s.plan, s.plan.scheme.Signature.Tags
	switch {
	case p.formContent != nil && in.contentType() == typeForm:
		return p.formContent, nil
	case p.scheme.BodyDigest != "":
		return nil, errors.New("its signature needs the body's hash in the URL, except for forms; choose another scheme, such as standard-webhooks")
	case len(tags) > 0 && p.tagContents[tags[0]] != nil:
		return p.tagContents[tags[0]], nil
	}
	return p.content, nil
}

func (s *Signer) input(h http.Header, m *Outgoing) (input, error) {
	in := input{
		plan: s.plan, method: cmp.Or(m.Method, http.MethodPost), header: h,
		id: m.ID, eventType: m.EventType, size: int64(len(m.Body)), raw: m.Body,
	}
	if s.plan.readsURL {
		u, err := url.Parse(m.URL)
		if err != nil {
			return in, errors.New("the URL can't be parsed; give an absolute one")
		}
		in.url, in.scheme, in.hostport = u, u.Scheme, u.Host
		in.path = u.EscapedPath() // as net/http sends it
	}
	for _, hash := range s.plan.bodyHashes {
		state := hash.New()
		state.Write(m.Body)
		in.hashes[hash] = state.Sum(nil)
	}
	return in, nil
}

// setHeaders sets the headers of the timestamp, the id and the event type.
func (s *Signer) setHeaders(h http.Header, in *input, cand *candidate) error {
	p := s.plan
	if p.timestamp.in == "header" {
		h[p.timestamp.name] = []string{cand.timestamp}
	}
	for _, f := range in.fields() {
		if f.at.in != "header" || *f.to == "" {
			continue
		}
		if !f.at.admits(*f.to) {
			return f.notAdmitted()
		}
		h[f.at.name] = []string{*f.to}
	}
	return nil
}

// items returns the items of the signature's list that aren't signatures.
func (s *Signer) items(in *input, cand *candidate) (items []pair) {
	if s.plan.timestamp.in == "field" {
		items = append(items, pair{s.plan.timestamp.name, cand.timestamp})
	}
	for _, seg := range cand.content.segments {
		if seg.kind == segFunc && seg.function.item != nil {
			items = append(items, seg.function.item(in))
		}
	}
	return items
}

// readBodyValues reads the timestamp, the id and the event type that the content includes
// from the body, if that is where receivers find them.
func (s *Signer) readBodyValues(in *input, cand *candidate) error {
	const absent = "the body has no %s at %s, which is signed"
	if at := s.plan.timestamp; at.inBody() && cand.content.has(segTimestamp, "") {
		value, found, reason := in.value(at, cand)
		if reason != "" || !found {
			return fmt.Errorf(absent, "timestamp", at.name)
		}
		cand.timestamp = value
	}
	for _, f := range in.fields() {
		switch in.readSigned(f, cand) {
		case "":
		case f.malformed:
			return f.notAdmitted()
		default:
			return fmt.Errorf(absent, f.name, f.at.name)
		}
	}
	return nil
}

// macs makes the signatures, one for each secret that signs.
func (s *Signer) macs(in *input, cand *candidate) ([]mac, error) {
	keys := s.keys
	if !s.plan.scheme.SignsWithAll() {
		keys = keys[:1]
	}
	macs := make([]mac, len(keys))
	for i, k := range keys {
		if err := s.mac(&macs[i], k, in, cand); err != nil {
			return nil, err
		}
	}
	return macs, nil
}

// mac sets m to the signature by one key.
func (s *Signer) mac(m *mac, k *key, in *input, cand *candidate) (err error) {
	var reason Reason
	if k.private != nil {
		var content []byte
		if content, reason = in.content(cand); reason == "" {
			m.long, err = k.sign(content)
		}
	} else {
		state := k.get()
		defer k.put(state)
		reason = in.writeContent(state, cand, k.secret)
		m.size = len(state.Sum(m.sum[:0]))
	}
	if reason != "" {
		return s.explain(in, cand, reason)
	}
	return err
}

// explain returns an error that says why the content can't be made of a message.
func (s *Signer) explain(in *input, cand *candidate, reason Reason) error {
	for _, seg := range cand.content.segments {
		if seg.kind != segHeader || seg.optional {
			continue
		}
		if _, found, reason := in.headerOnce(seg.text); !found && reason == "" {
			return fmt.Errorf("it signs the header %s, which the message doesn't have; add it, or choose another scheme, such as standard-webhooks", seg.text)
		}
	}
	switch reason {
	case ReasonMissingID:
		return errors.New("it signs the id, which the message doesn't have; add one")
	case ReasonMalformedID:
		return errors.New("it wouldn't be clear where the id ends in what is signed; use one of letters and digits")
	case ReasonUnsupportedContentType:
		return fmt.Errorf("it signs the fields of a form, and the message has another content type than %s; send a form, or choose another scheme, such as standard-webhooks", typeForm)
	}
	return fmt.Errorf("the content %q can't be made of this message: %s; choose another scheme, such as standard-webhooks", s.plan.scheme.content(), reason)
}

// setSignature sets the signature's headers. They have one list of all signatures, or
// one list for each where the scheme has several headers or groups.
func (s *Signer) setSignature(h http.Header, cand *candidate, macs []mac) {
	form, headers := &s.plan.scheme.Signature, s.plan.headers
	perList := len(macs)
	if form.multipleHeaders() || form.Groups != "" {
		perList = 1
	}
	var lists []string
	for chunk := range slices.Chunk(macs, perList) {
		lists = append(lists, s.signatureList(cand, chunk))
	}
	switch {
	case form.multipleHeaders() && !form.Repeated:
		for i, name := range headers[:min(len(headers), len(lists))] {
			h[name] = []string{lists[i]}
		}
	case form.Groups != "":
		h[headers[0]] = []string{strings.Join(lists, form.Groups)}
	default:
		h[headers[0]] = lists
	}
}

// setSent sets the headers that the provider writes in its own way. The timestamp is that
// of the body, if the scheme has it there and the body has one.
func (s *Signer) setSent(h http.Header, in *input, cand *candidate, now time.Time, m mac) {
	p := s.plan
	if len(p.scheme.Sent) == 0 {
		return
	}
	timestamp := cmp.Or(cand.timestamp, p.timeFormat.format(now))
	if p.timestamp.inBody() {
		text, _, _ := in.value(p.timestamp, cand)
		if _, ok := p.timeFormat.parse(text); ok { // any other text may not fit in a header
			timestamp = text
		}
	}
	values := strings.NewReplacer("{timestamp}", timestamp, "{rfc3339}", timeFormats["rfc3339"].format(now),
		"{signature}", string(p.encoding.append(nil, m.bytes())))
	for name, value := range p.scheme.Sent {
		h[canonical(name)] = []string{values.Replace(value)}
	}
}

// signatureList returns one list: its other items, then the signatures.
func (s *Signer) signatureList(cand *candidate, macs []mac) string {
	p, form := s.plan, &s.plan.scheme.Signature
	var space [128]byte // enough for two signatures of the usual length
	list := append(space[:0], form.Prefix...)
	if p.timestamp.in == "first" {
		list = append(list, cand.timestamp+form.Separator...)
	}
	for _, item := range cand.items {
		list = append(list, item.name+form.assign()+item.value+form.Separator...)
	}
	for i := range macs {
		if i > 0 {
			list = append(list, form.Separator...)
		}
		if len(form.Tags) > 0 {
			list = append(list, form.Tags[0]+form.assign()...)
		}
		list = p.encoding.append(list, macs[i].bytes())
	}
	return string(list)
}
