package verify

// rowsCustom has the scheme that custom schemes start from by default.
var rowsCustom = []Scheme{
	{
		Name:   "hmac",
		Title:  "Any HMAC scheme",
		Notes:  "Says nothing but the defaults: HMAC-SHA256 in hexadecimal over the body, keyed with the secret's text. Name the signature's header.",
		Source: "this package",
	},
}
