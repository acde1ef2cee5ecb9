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
	writeBody(c.w, http.StatusOK, typeJSON, openAPI)
	return nil
}
