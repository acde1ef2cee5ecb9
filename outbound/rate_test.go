package outbound

import "testing"

// Rates are parsed and written so that they can be parsed again.
func TestRates(t *testing.T) {
	for s, want := range map[string]float64{"50/s": 50, "3000/m": 50, "90/m": 1.5, "36000/h": 10, "0.5/s": 0.5, "0.05/h": 0.05 / 3600} {
		got, err := ParseRate(s)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
		if back, err := ParseRate(FormatRate(got)); err != nil || back != got {
			t.Errorf("%s: got it written as %s, which is %v (%v)", s, FormatRate(got), back, err)
		}
	}
	for _, s := range []string{"", "50", "/s", "0/s", "-1/s", "50/d", "x/s", "NaN/s", "Inf/s", "1e9/s", "0.04/h", "1e-9/s", "50/s "} {
		if got, err := ParseRate(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
	if FormatRate(0) != "" {
		t.Errorf("FormatRate(0): got %q, want none", FormatRate(0))
	}
}

func FuzzRate(f *testing.F) {
	f.Add("50/s")
	f.Add("0.1/h")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseRate(s)
		if err != nil {
			return
		}
		if !(v > 0 && v <= maxRate) {
			t.Errorf("%q: got %v, want over 0 and %v at most", s, v, maxRate)
		}
		if _, err := ParseRate(FormatRate(v)); err != nil {
			t.Errorf("%q: got it written as %q, which is invalid: %v", s, FormatRate(v), err)
		}
	})
}
