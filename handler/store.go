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

// storeLocation identifies a store, and opens it. Two configs that use the same
// store have the same key.
type storeLocation struct {
	key  string
	open func(context.Context, *slog.Logger) (openStore, error)
}

// openStore is a store that also remembers messages, as both kinds do.
type openStore interface {
	store.Store
	store.Memory
}

// locate returns where the store is, without opening it.
func (s *Store) locate() (storeLocation, error) {
	switch s.Type {
	case "sqlite", "":
		return s.locateFile()
	case "postgres":
		return s.locateDatabase()
	}
	return storeLocation{}, errUnknownStore
}

func (s *Store) locateFile() (storeLocation, error) {
	path := filepath.Join(caddy.AppDataDir(), "webhooks", "webhooks.db")
	if s.DSN != "" {
		return storeLocation{}, errors.New("store sqlite takes a path, not a dsn")
	}
	if s.Path != "" {
		var err error
		if path, err = resolveText("store sqlite", s.Path); err != nil {
			return storeLocation{}, err
		}
	}
	path, err := sqlite.Canonical(path)
	if err != nil {
		return storeLocation{}, fmt.Errorf("store sqlite: %w", err)
	}
	return storeLocation{"sqlite:" + path, func(ctx context.Context, log *slog.Logger) (openStore, error) {
		return sqlite.Open(ctx, sqlite.Config{Path: path, Logger: log})
	}}, nil
}

func (s *Store) locateDatabase() (storeLocation, error) {
	if s.Path != "" {
		return storeLocation{}, errors.New("store postgres takes a dsn, not a path")
	}
	dsn, err := resolveSecret("store postgres", s.DSN)
	if err != nil {
		return storeLocation{}, err
	}
	if err := postgres.Check(dsn); err != nil {
		return storeLocation{}, fmt.Errorf("store postgres: its argument %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return storeLocation{}, fmt.Errorf("store postgres: getting the host name, which identifies this node: %w", err)
	}
	return storeLocation{"postgres:" + dsn, func(ctx context.Context, log *slog.Logger) (openStore, error) {
		return postgres.Open(ctx, postgres.Config{DSN: dsn, Host: host, Logger: log})
	}}, nil
}

// errUnknownStore is the error for an unknown type of store. It doesn't quote
// the type, which may be a connection string with its password.
var errUnknownStore = errors.New("store: unknown type: write store sqlite /var/lib/webhooks/webhooks.db, or store postgres {env.DATABASE_URL}")
