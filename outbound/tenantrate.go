package outbound

import (
	"fmt"
	"math"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// ratedTenants is how many tenants' rates are remembered. One that is
// forgotten has been still for longer than the others.
const ratedTenants = 10_000

// tenantRates holds each tenant to the same rate. As many events as a second
// has may come at once.
type tenantRates struct {
	perSecond float64
	limiters  *lru.Cache[string, *rate.Limiter]
}

// newTenantRates returns nil for no limit.
func newTenantRates(perSecond float64) (*tenantRates, error) {
	if perSecond == 0 {
		return nil, nil
	}
	limiters, err := lru.New[string, *rate.Limiter](ratedTenants)
	return &tenantRates{perSecond, limiters}, err
}

// check counts an event, or refuses it with a *Limited. Events without a tenant
// are the operator's own. Where there is no limit, nobody asks for the time.
func (r *tenantRates) check(tenant string, clock func() time.Time) error {
	if r == nil || tenant == "" {
		return nil
	}
	now := clock()
	limiter, known := r.limiters.Get(tenant)
	if !known {
		fresh := rate.NewLimiter(rate.Limit(r.perSecond), int(max(math.Ceil(r.perSecond), 1)))
		if limiter, known, _ = r.limiters.PeekOrAdd(tenant, fresh); !known {
			limiter = fresh
		}
	}
	// A reservation that is cancelled while others are made isn't wholly given
	// back: whoever insists would be held to less than the rate.
	if limiter.AllowN(now, 1) {
		return nil
	}
	wait := time.Duration((1 - limiter.TokensAt(now)) / r.perSecond * float64(time.Second))
	return &Limited{Rate: r.perSecond, Wait: max(wait, 1)}
}

// Limited is an event of a tenant that publishes faster than it may.
type Limited struct {
	Rate float64       // events a second
	Wait time.Duration // until the next one is taken
}

// RetryAfter is Wait as the header of that name has it: in whole seconds.
func (e *Limited) RetryAfter() string { return strconv.Itoa(int(math.Ceil(e.Wait.Seconds()))) }

func (e *Limited) Error() string {
	return fmt.Sprintf("the tenant publishes faster than %s (tenant_rate_limit): send this event again later", FormatRate(e.Rate))
}
