package main

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// panels are the panels of the picture, from top to bottom. Each draws columns of
// the CSV on one axis.
var panels = []struct {
	title   string
	columns []string
}{
	{"resident memory, MiB", []string{"rss_mib"}},
	{"open descriptors and goroutines", []string{"descriptors", "goroutines"}},
	{"store, MiB", []string{"database_mib", "wal_mib"}},
	{"pending deliveries", []string{"pending"}},
	{"age of the oldest deliverable one, s", []string{"lag_seconds"}},
	{"CPU, % of a core", []string{"cpu_percent"}},
}

// The sizes of the picture, in pixels.
const (
	panelWidth, panelHeight = 820.0, 90.0
	left, top, gap          = 60.0, 44.0, 34.0
)

// series has the values of a run's CSV by column.
type series map[string][]float64

func readSeries(path string) (series, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(rows) < 3 {
		return nil, fmt.Errorf("%s has no two samples to draw a line through", path)
	}
	s := series{}
	for _, row := range rows[1:] {
		for i, name := range rows[0] {
			v, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", path, err)
			}
			s[name] = append(s[name], v)
		}
	}
	return s, nil
}

// plot draws a run as SVG.
func plot(from, to string) error {
	s, err := readSeries(from)
	if err != nil {
		return err
	}
	var b strings.Builder
	height := top + float64(len(panels))*(panelHeight+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", left+panelWidth+20, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%g" y="20">%.0f minutes, %.0f events accepted. Red: kill -9; green: SIGTERM. Ticks below each panel are minutes.</text>`+"\n",
		left, last(s["seconds"])/60, last(s["accepted"]))
	for i, p := range panels {
		drawPanel(&b, s, p.title, p.columns, top+float64(i)*(panelHeight+gap))
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(to, []byte(b.String()), 0o644)
}

func last(v []float64) float64 { return v[len(v)-1] }

// colours are the colours of a panel's lines.
var colours = []string{"#1f4e9c", "#d97706"}

// drawPanel draws a panel whose top is at y.
func drawPanel(b *strings.Builder, s series, title string, columns []string, y float64) {
	seconds := s["seconds"]
	axisMax := 0.0
	for _, c := range columns {
		axisMax = max(axisMax, slices.Max(s[c]))
	}
	axisMax = roundUp(axisMax)
	x := func(second float64) float64 { return left + panelWidth*second/last(seconds) }
	yOf := func(v float64) float64 { return y + panelHeight*(1-v/axisMax) }

	fmt.Fprintf(b, `<rect x="%g" y="%g" width="%g" height="%g" fill="none" stroke="#bbb"/>`+"\n", left, y, panelWidth, panelHeight)
	fmt.Fprintf(b, `<text x="%g" y="%g">%s</text>`+"\n", left, y-5, title)
	for i, c := range columns {
		if len(columns) > 1 {
			fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="end" fill="%s">%s</text>`+"\n", left+panelWidth-float64(len(columns)-1-i)*110, y-5, colours[i], c)
		}
	}
	for _, v := range []float64{0, axisMax / 2, axisMax} {
		fmt.Fprintf(b, `<text x="%g" y="%.1f" text-anchor="end" fill="#555">%g</text>`+"\n", left-6, yOf(v)+4, v)
	}
	step := roundUp(last(seconds) / 60 / 12) // at most a dozen ticks
	for minute := 0.0; minute*60 <= last(seconds); minute += step {
		fmt.Fprintf(b, `<text x="%.1f" y="%g" text-anchor="middle" fill="#555" font-size="10">%g</text>`+"\n", x(minute*60), y+panelHeight+12, minute)
	}
	for _, event := range []struct{ column, colour string }{{"kills", "#dc2626"}, {"stops", "#16a34a"}} {
		for i := 1; i < len(seconds); i++ {
			if s[event.column][i] > s[event.column][i-1] {
				fmt.Fprintf(b, `<path d="M%.1f %gv%g" stroke="%s" stroke-width="0.7" opacity="0.5"/>`+"\n", x(seconds[i]), y, panelHeight, event.colour)
			}
		}
	}
	for i, c := range columns {
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" points="`, colours[i])
		for j, v := range s[c] {
			fmt.Fprintf(b, "%.1f,%.1f ", x(seconds[j]), yOf(v))
		}
		b.WriteString("\"/>\n")
	}
}

// roundUp returns the next of 1, 2, 5, 10, 20, 50, …, as the end of an axis.
func roundUp(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(max(v, 1))))
	for _, step := range []float64{1, 2, 5} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}
