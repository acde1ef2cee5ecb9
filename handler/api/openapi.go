package api

import (
	_ "embed"
	"net/http"
)

// openAPI is the contract of this API.
//
//go:embed openapi.json
var openAPI []byte

func (c *call) showOpenAPI() error {
	if _, err := c.query(); err != nil {
		return err
	}
	writeBody(c.w, http.StatusOK, typeJSON, openAPI)
	return nil
}
