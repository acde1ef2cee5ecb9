package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The names of the files that salvaging creates, as suffixes of the store's path.
const (
	asideSuffix  = ".damaged-" // a damaged file that was set aside, followed by asideTime
	asideTime    = "20060102T150405.000Z"
	reportSuffix = ".json"      // its report, a suffix of the damaged file's name
	partSuffix   = ".salvaging" // the new file while it is written
	wholeSuffix  = ".salvaged"  // the new file, complete, before it replaces the damaged one
)

// asideMost is how many damaged files are kept. If the disk damages each new file
// too, any more would fill it.
const asideMost = 32

var _ store.Salvager = (*Store)(nil)

// Salvages implements store.Salvager.
func (s *Store) Salvages() []store.Salvage { return Salvages(s.path) }

// Salvages returns the reports of the damaged files that were set aside from a path,
// the oldest first. It reads them beside the file, until people delete them together
// with the damaged files.
func Salvages(path string) []store.Salvage {
	var all []store.Salvage
	for _, name := range reports(path) {
		aside := strings.TrimSuffix(name, reportSuffix)
		if _, err := os.Stat(aside); err != nil {
			continue // it was deleted, or a crash came before it was set aside
		}
		var r store.Salvage
		if b, err := os.ReadFile(name); err == nil && json.Unmarshal(b, &r) == nil {
			r.Path = aside
			all = append(all, r)
		}
	}
	return all
}

// Salvaged implements store.Salvager.
func (s *Store) Salvaged() <-chan struct{} { return s.salvaged }

// reports returns the paths of the reports, the oldest first.
func reports(path string) (names []string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+asideSuffix) && strings.HasSuffix(e.Name(), reportSuffix) {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return names
}

// replace puts the new file, which is complete, in the place of the damaged one.
// After a crash at any step, resume can continue.
func replace(path string, r store.Salvage) error {
	report, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := writeSynced(r.Path+reportSuffix, report); err != nil {
		return err
	}
	if err := os.Rename(path+partSuffix, path+wholeSuffix); err != nil {
		return err
	}
	return swap(path, r.Path)
}

// swap sets the damaged file aside, and then puts the new one in its place.
func swap(path, aside string) error {
	if err := setAside(path, aside); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+wholeSuffix, path), syncDir(path))
}

// setAside renames a file and those that SQLite keeps beside it, the file itself
// last.
func setAside(path, aside string) error {
	for _, suffix := range []string{"-shm", "-wal", ""} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// resume finishes a salvage that a crash or an error has interrupted. It reports
// whether the new file was complete by then; if not, it removes it.
func (s *Store) resume() (whole bool, err error) {
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		os.Remove(s.path + partSuffix + suffix)
	}
	_, err = os.Stat(s.path + wholeSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	names := reports(s.path)
	if len(names) == 0 {
		return true, fmt.Errorf("%s%s is there without its report; move it away", s.path, wholeSuffix)
	}
	report := names[len(names)-1]
	if err := swap(s.path, strings.TrimSuffix(report, reportSuffix)); err != nil {
		return true, fmt.Errorf("setting the damaged file aside: %w", err)
	}
	s.log.Error("webhooks store: the damaged file has been set aside, and the new one is in its place; see its report for what was lost",
		"path", s.path, "report", report)
	return true, nil
}

// asideFor returns a new name for a damaged file.
func asideFor(path string, now time.Time) (string, error) {
	if n := len(reports(path)); n >= asideMost {
		return "", fmt.Errorf("%w, and %d damaged files have been set aside already; check its disk, and move %s%s* away", store.ErrDamaged, n, path, asideSuffix)
	}
	for ; ; now = now.Add(time.Millisecond) {
		name := path + asideSuffix + now.UTC().Format(asideTime)
		if _, err := os.Stat(name + reportSuffix); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir syncs the directory of a file, so that a new name is not lost. Systems
// that can't do that, such as Windows, keep names in other ways.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
