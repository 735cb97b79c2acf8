// Command picture makes the pictures of the documents, docs/pictures/*.svg,
// anew: a terminal with a scan, made by running the real command, and the
// questions of the Grafana board, drawn from what Prometheus answered during a
// real run (docs/pictures/run.json). It is run at the top of the repository.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "."); err != nil {
		fmt.Fprintln(os.Stderr, "picture: error:", err)
		os.Exit(1)
	}
}

// run writes every picture of the repository at root.
func run(ctx context.Context, root string) error {
	pictures, err := draw(ctx, root)
	if err != nil {
		return err
	}
	for name, svg := range pictures {
		if err := os.WriteFile(filepath.Join(root, folder, name), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const folder = "docs/pictures"

// draw returns the pictures by their file names. They are the same each time,
// as long as the command prints the same and the recording is the same.
func draw(ctx context.Context, root string) (map[string][]byte, error) {
	screen, err := recordScan(ctx, root)
	if err != nil {
		return nil, err
	}
	pictures := map[string][]byte{"scan.svg": drawTerminal(scanCommand, screen)}
	r, err := readRecording(filepath.Join(root, folder, "run.json"))
	if err != nil {
		return nil, err
	}
	for name, titles := range shown {
		svg, err := drawPanels(r, titles)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pictures[name] = svg
	}
	return pictures, nil
}
