package payload

import "cel.dev/cel-go/common/types/ref"

// textWeight is how many bytes of text weigh as much as one element.
const textWeight = 16

// weigh subtracts the weight of a value from left, and stops once that is negative.
// An element weighs one, and text one in textWeight bytes.
func weigh(v any, left int) int {
	left--
	switch v := v.(type) {
	case string:
		return left - len(v)/textWeight
	case []byte:
		return left - len(v)/textWeight
	case []any:
		for i := 0; i < len(v) && left >= 0; i++ {
			left = weigh(v[i], left)
		}
	case []ref.Val:
		for i := 0; i < len(v) && left >= 0; i++ {
			left = weigh(v[i], left)
		}
	case map[string]any:
		for _, member := range v {
			if left = weigh(member, left); left < 0 {
				break
			}
		}
	case map[ref.Val]ref.Val:
		for _, member := range v {
			if left = weigh(member, left); left < 0 {
				break
			}
		}
	case ref.Val:
		return weigh(v.Value(), left)
	}
	return left
}
