//go:build linux

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

// store returns the arguments of the store option for a Caddy with that folder: a
// file in it, or a new database.
func (b *bench) store(dir string) (string, error) {
	if b.postgres == "" {
		return "sqlite " + storeIn(dir), nil
	}
	u, err := url.Parse(b.postgres)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("webhooks_speed_%d_%d", os.Getpid(), len(b.databases))
	u.Path = "/" + name
	b.databases = append(b.databases, name)
	return "postgres " + u.String(), b.administer("CREATE DATABASE " + name)
}

func (b *bench) dropDatabases() {
	for _, name := range b.databases {
		if err := b.administer("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			fmt.Fprintln(os.Stderr, "speed:", err)
		}
	}
}

// administer runs a statement on the Postgres server.
func (b *bench) administer(statement string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
