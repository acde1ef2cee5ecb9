package api

import "net/http"

// deleteTenant deletes everything that belongs to a tenant.
func (c *call) deleteTenant() error {
	if err := c.noBody(); err != nil {
		return err
	}
	d, err := c.engine.DeleteTenant(c.r.Context(), c.id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{"subscriptions": d.Subscriptions, "events": d.Events})
}
