package outbound

import "testing"

func TestNextTurn(t *testing.T) {
	const nobody = tiers
	for name, c := range map[string]struct {
		waiting, runs [tiers]int // prompt, slow, down
		last, want    tier
	}{
		"nobody waits":                          {[...]int{0, 0, 0}, [...]int{0, 0, 0}, prompt, nobody},
		"no slot is free":                       {[...]int{1, 1, 1}, [...]int{8, 8, 0}, prompt, nobody},
		"the slow have three quarters":          {[...]int{0, 1, 0}, [...]int{0, 11, 0}, slow, slow},
		"the last quarter is for the prompt":    {[...]int{0, 1, 1}, [...]int{0, 11, 1}, slow, nobody},
		"who have it":                           {[...]int{1, 1, 1}, [...]int{0, 11, 1}, prompt, prompt},
		"to the last slot":                      {[...]int{1, 1, 1}, [...]int{3, 11, 1}, prompt, prompt},
		"a quarter is for the slow":             {[...]int{1, 1, 1}, [...]int{11, 3, 1}, prompt, slow},
		"and no more where the prompt have all": {[...]int{1, 1, 1}, [...]int{10, 4, 1}, prompt, prompt},
		"they take turns":                       {[...]int{1, 1, 1}, [...]int{1, 1, 1}, slow, prompt},
		"with the others":                       {[...]int{1, 1, 1}, [...]int{1, 1, 1}, prompt, slow},
		"a probe goes first":                    {[...]int{1, 1, 1}, [...]int{10, 5, 0}, prompt, down},
		"those who are down go last":            {[...]int{0, 0, 1}, [...]int{1, 1, 1}, prompt, down},
		"and have a quarter":                    {[...]int{0, 0, 1}, [...]int{1, 1, 4}, prompt, nobody},
	} {
		t.Run(name, func(t *testing.T) {
			d := dispatcher{slots: 16, runs: c.runs, last: c.last}
			for as, n := range c.waiting {
				for range n {
					d.waiting[as].push(new(lane))
				}
			}
			as, ok := d.next()
			if !ok {
				as = nobody
			}
			if as != c.want {
				t.Errorf("got %d, want %d", as, c.want)
			}
		})
	}
}
