package verify

import "fmt"

// field is the id or the event type of a message.
type field struct {
	name               string // for error messages
	at                 *place
	pattern            string      // that it must match, as the scheme has it
	kind               segmentKind // of its placeholder
	to                 *string     // where the input keeps it
	missing, malformed Reason
}

func (p *plan) compileID() (err error) {
	p.id, err = compileField(p.scheme.ID)
	return err
}

func (p *plan) compileEventType() (err error) {
	p.eventType, err = compileField(p.scheme.EventType)
	p.eventType.allowSpaces = true
	return err
}

// fields returns both.
func (in *input) fields() [2]field {
	p := in.plan
	return [...]field{
		{"id", &p.id, p.scheme.ID.Pattern, segID, &in.id, ReasonMissingID, ReasonMalformedID},
		{"event type", &p.eventType, p.scheme.EventType.Pattern, segEventType, &in.eventType, ReasonMissingField, ReasonMalformedField},
	}
}

// readSigned reads a field that is in the body, if the candidate's content names it.
func (in *input) readSigned(f field, cand *candidate) Reason {
	if !f.at.inBody() || !cand.content.has(f.kind, "") {
		return ""
	}
	value, found, reason := in.value(*f.at, cand)
	switch {
	case reason != "":
		return reason
	case !found:
		return f.missing
	case !f.at.admits(value):
		return f.malformed
	}
	*f.to = value
	return ""
}

// notAdmitted returns the error for a value that the scheme doesn't allow.
func (f field) notAdmitted() error {
	form := fmt.Sprintf("up to %d printable characters without spaces", maxID)
	if f.pattern != "" {
		form = "one that matches " + f.pattern
	}
	return fmt.Errorf("the %s has a form that the scheme can't send; use %s", f.name, form)
}
