package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// Store is where events and deliveries are stored.
type Store struct {
	// The type of store: `sqlite` for a local file, or `postgres` for a database
	// that several nodes can share. Default: `sqlite`.
	Type string `json:"type,omitempty"`

	// The path of the SQLite file. The file is created with mode 0600; its
	// directory is created if it doesn't exist. Default: `webhooks/webhooks.db` in
	// Caddy's data directory.
	Path string `json:"path,omitempty"`

	// The connection string of the Postgres database: a URL, or keywords and
	// values. Since it usually contains a password, prefer a placeholder such as
	// `{env.DATABASE_URL}`. The tables are created in the schema `webhooks`.
	// Required for `postgres`.
	DSN string `json:"dsn,omitempty"`
}

// place is where a store is, and key what makes it the same as another.
type place struct {
	key  string
	open func(context.Context, *slog.Logger) (store.Store, error)
}

// locate says where the store is. It isn't touched yet.
func (s *Store) locate() (place, error) {
	switch s.Type {
	case "sqlite", "":
		return s.locateFile()
	case "postgres":
		return s.locateDatabase()
	}
	return place{}, errUnknownStore
}

func (s *Store) locateFile() (place, error) {
	path := filepath.Join(caddy.AppDataDir(), "webhooks", "webhooks.db")
	if s.DSN != "" {
		return place{}, errors.New("store sqlite: takes a path and no dsn")
	}
	if s.Path != "" {
		var err error
		if path, err = resolveText("store sqlite", s.Path); err != nil {
			return place{}, err
		}
	}
	path, err := sqlite.Canonical(path)
	if err != nil {
		return place{}, fmt.Errorf("store sqlite: %w", err)
	}
	return place{"sqlite:" + path, func(ctx context.Context, log *slog.Logger) (store.Store, error) {
		return sqlite.Open(ctx, sqlite.Config{Path: path, Logger: log})
	}}, nil
}

func (s *Store) locateDatabase() (place, error) {
	if s.Path != "" {
		return place{}, errors.New("store postgres: takes a dsn and no path")
	}
	dsn, err := resolveSecret("store postgres", s.DSN)
	if err != nil {
		return place{}, err
	}
	if err := postgres.Check(dsn); err != nil {
		return place{}, fmt.Errorf("store postgres: what it is given %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return place{}, fmt.Errorf("store postgres: naming this node: %w", err)
	}
	return place{"postgres:" + dsn, func(ctx context.Context, log *slog.Logger) (store.Store, error) {
		return postgres.Open(ctx, postgres.Config{DSN: dsn, Host: host, Logger: log})
	}}, nil
}

// errUnknownStore is the error for a store that isn't there. It doesn't tell what was
// written, which may be a connection string with its password.
var errUnknownStore = errors.New("store: there is no such store: write store sqlite /var/lib/webhooks/webhooks.db, or store postgres {env.DATABASE_URL}")
