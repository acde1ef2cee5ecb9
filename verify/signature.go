package verify

import (
	"cmp"
	"errors"
	"fmt"
)

func (p *plan) compileSignature() error {
	s := p.scheme.Signature
	for _, step := range [...]func() error{p.compileSignaturePlace, p.checkRepeated, p.compileEach, s.checkLists} {
		if err := step(); err != nil {
			return err
		}
	}
	p.macSize = p.scheme.algorithm().Size()
	if p.asymmetric = p.scheme.asymmetric(); p.asymmetric {
		p.macSize = keyPairKinds[p.scheme.Construction].size
	}
	return nil
}

// compileSignaturePlace compiles where the signature is: in one place, or in several
// headers.
func (p *plan) compileSignaturePlace() (err error) {
	s := p.scheme.Signature
	in := cmp.Or(s.In, "header")
	switch {
	case s.Name == "" && len(s.Names) == 0:
		return errors.New("no name; say where the signature is, such as header X-Acme-Signature")
	case len(s.Names) > 0 && (s.Name != "" || s.Numbered || in != "header"):
		return errors.New("names is for several headers; set either name or names")
	case s.Numbered && in != "header":
		return errors.New("only headers can be numbered; drop numbered")
	case in != "header":
		p.signature, err = compilePlace(in, s.Name, "")
	default:
		p.signature.in = in
		p.headers, err = s.headers()
	}
	return err
}

// headers returns the names of the headers that may have a signature.
func (s Signature) headers() ([]string, error) {
	names := s.Names
	if s.Name != "" {
		names = []string{s.Name}
	}
	headers := make([]string, len(names))
	for i, name := range names {
		if err := checkHeader(name); err != nil {
			return nil, err
		}
		headers[i] = canonical(name)
	}
	if !s.Numbered {
		return headers, nil
	}
	headers = make([]string, maxSignatures)
	for i := range headers {
		headers[i] = canonical(fmt.Sprintf("%s%d", s.Name, i+1))
	}
	return headers, nil
}

func (p *plan) checkRepeated() error {
	s, time := p.scheme.Signature, p.scheme.Timestamp.In
	switch {
	case !s.Repeated:
		return nil
	case s.Numbered || len(p.headers) != 1:
		return errors.New("only one header can be repeated; drop repeated, or name one header")
	case s.Groups != "" || len(s.TagContents) > 0 || time == "field" || time == "first":
		return errors.New("repeated headers all sign the same content; drop repeated, or drop groups, tag_contents and the timestamp in the list")
	}
	return nil
}

func (p *plan) compileEach() (err error) {
	s := p.scheme.Signature
	if s.Each == "" {
		return nil
	}
	if p.signature.in != "json" || s.Groups != "" {
		return errors.New("each needs one signature in json for every element; set in to json, and drop groups")
	}
	p.each, err = compileJSONPath(s.Each)
	return err
}

// checkLists returns an error for the parts of a list where there is none, and for a
// separator with two meanings.
func (s Signature) checkLists() error {
	if s.Separator == "" {
		switch {
		case len(s.Tags) > 0:
			return errors.New("tags need a list; set separator to the text between the items")
		case s.Groups != "":
			return errors.New("groups are lists; set separator to the text between the items")
		case s.Assign != "":
			return errors.New("assign is for the items of a list; set separator to the text between them")
		case s.Single:
			return errors.New("single is for a list; set separator to the text between the items, or drop single")
		}
		return nil
	}
	if s.Single && (s.Groups != "" || s.multipleHeaders()) {
		return errors.New("single is for one list; drop single, or else groups, repeated, numbered and all names but one")
	}
	if s.Separator == s.Groups || s.Separator == s.assign() && len(s.Tags) > 0 {
		return fmt.Errorf("separator %q can't also be groups or assign; set another", s.Separator)
	}
	return nil
}

// assign returns the text between a tag and its value.
func (s Signature) assign() string { return cmp.Or(s.Assign, "=") }

// multipleHeaders reports whether a request may have several signature headers.
func (s Signature) multipleHeaders() bool { return s.Numbered || len(s.Names) > 1 || s.Repeated }

func (p *plan) compileEncoding() error {
	name := p.scheme.Signature.Encoding
	p.encoding = encodings[name]
	return checkOptional(name, sortedKeys(encodings))
}
