package storetest

import "testing"

func testModel(t *testing.T, place func(t testing.TB) Open) {}
