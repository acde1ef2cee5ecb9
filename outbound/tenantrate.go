package outbound

import (
	"fmt"
	"math"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// ratedTenants is how many tenants' limiters are kept. The least recently used ones
// are dropped.
const ratedTenants = 10_000

// tenantRates limits each tenant to the same rate. Bursts may be as large as one
// second's events.
type tenantRates struct {
	perSecond float64
	limiters  *lru.Cache[string, *rate.Limiter]
}

// newTenantRates returns nil if there is no limit.
func newTenantRates(perSecond float64) (*tenantRates, error) {
	if perSecond == 0 {
		return nil, nil
	}
	limiters, err := lru.New[string, *rate.Limiter](ratedTenants)
	return &tenantRates{perSecond, limiters}, err
}

// check counts an event, or refuses it with a *Limited. Events without a tenant are
// the operator's own and not limited. The clock is only read if there is a limit.
func (r *tenantRates) check(tenant string, clock func() time.Time) error {
	if r == nil || tenant == "" {
		return nil
	}
	now := clock()
	limiter, known := r.limiters.Get(tenant)
	if !known {
		fresh := rate.NewLimiter(rate.Limit(r.perSecond), int(math.Ceil(r.perSecond)))
		if limiter, known, _ = r.limiters.PeekOrAdd(tenant, fresh); !known {
			limiter = fresh
		}
	}
	// A cancelled reservation isn't given back in full if others were made since: a
	// tenant that keeps trying would get less than the rate.
	if limiter.AllowN(now, 1) {
		return nil
	}
	wait := time.Duration((1 - limiter.TokensAt(now)) / r.perSecond * float64(time.Second))
	return &Limited{Rate: r.perSecond, Wait: max(wait, 1)}
}

// Limited is the error for an event of a tenant that publishes too fast.
type Limited struct {
	Rate float64       // events a second that are allowed
	Wait time.Duration // until the next event is accepted
}

// RetryAfter returns Wait in whole seconds, for the header of that name.
func (e *Limited) RetryAfter() string { return strconv.Itoa(int(math.Ceil(e.Wait.Seconds()))) }

func (e *Limited) Error() string {
	return fmt.Sprintf("the tenant publishes faster than %s (tenant_rate_limit): send this event again later", FormatRate(e.Rate))
}
