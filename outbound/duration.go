package outbound

import (
	"strings"
	"time"
)

// FormatDuration formats a duration as people write it, such as "168h" or "30s": as its
// String does, without zero minutes and seconds at the end.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
