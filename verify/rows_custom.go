package verify

// rowsCustom has the scheme that custom schemes start from by default.
var rowsCustom = []Scheme{
	{
		Name:   "hmac",
		Title:  "Any HMAC scheme",
		Notes:  "Sets nothing but the defaults: HMAC-SHA256 of the body, in hexadecimal, keyed with the text of the secret. Set the header of the signature with `signature`.",
		Source: "this package",
	},
}
