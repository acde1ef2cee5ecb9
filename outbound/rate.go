package outbound

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

var rateUnits = map[string]float64{"s": 1, "m": 60, "h": 3600}

// ParseRate parses a rate such as 50/s, 3000/m or 10000/h, and returns it per
// second.
func ParseRate(s string) (float64, error) {
	n, unit, ok := strings.Cut(s, "/")
	per, known := rateUnits[unit]
	v, err := strconv.ParseFloat(n, 64)
	if !ok || !known || err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf(`%q is not a rate: write one as in "50/s", "3000/m" or "10000/h"`, s)
	}
	return v / per, checkRate(v / per)
}

// FormatRate is the inverse of ParseRate. It returns "" for no limit.
func FormatRate(perSecond float64) string {
	for _, unit := range []string{"s", "m", "h"} {
		n := math.Round(perSecond*rateUnits[unit]*1e6) / 1e6
		if perSecond > 0 && (n == math.Trunc(n) || unit == "h") {
			return strconv.FormatFloat(n, 'f', -1, 64) + "/" + unit
		}
	}
	return ""
}
