package outbound

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// ratedTenants is how many tenants' rates are remembered. One that is
// forgotten has been still for longer than the others.
const ratedTenants = 10_000

// tenantRates hold each tenant to the same rate, of whose events a second's
// may come at once.
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
// are the operator's own.
func (r *tenantRates) check(tenant string, now time.Time) error {
	if r == nil || tenant == "" {
		return nil
	}
	limiter, known := r.limiters.Get(tenant)
	if !known {
		fresh := rate.NewLimiter(rate.Limit(r.perSecond), int(max(math.Ceil(r.perSecond), 1)))
		if limiter, known, _ = r.limiters.PeekOrAdd(tenant, fresh); !known {
			limiter = fresh
		}
	}
	reservation := limiter.ReserveN(now, 1)
	if wait := reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return &Limited{Rate: r.perSecond, Wait: wait}
	}
	return nil
}

// Limited is an event of a tenant that publishes faster than it may.
type Limited struct {
	Rate float64       // events a second
	Wait time.Duration // until the next one is taken
}

func (e *Limited) Error() string {
	return fmt.Sprintf("the tenant publishes faster than %s (tenant_rate_limit): send this event again later", FormatRate(e.Rate))
}
