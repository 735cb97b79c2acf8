//go:build e2e && linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The test is also the process that emits, see orderEnv.
func TestMain(m *testing.M) {
	if text := os.Getenv(orderEnv); text != "" {
		if err := runVictim(text, os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "a process that emits:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The short suite: what every scenario promises must hold.
func TestShortSuite(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Minute, errOutOfTime)
	defer cancel()
	rows, err := run(ctx, options{short: true, dir: t.TempDir(), log: os.Stderr})
	if err != nil {
		t.Error(err)
	}
	var table strings.Builder
	printTable(&table, rows)
	t.Logf("\n%s", table.String())
	for _, r := range rows {
		if r.err != nil {
			t.Errorf("%s: %v", r.name, r.err)
		}
	}
}

// Three minutes of what `make soak` does for an hour.
func TestShortSoak(t *testing.T) {
	var table strings.Builder
	err := runSoak(t.Context(), options{dir: t.TempDir(), log: os.Stderr}, 3*time.Minute, &table)
	t.Logf("\n%s", table.String())
	if err != nil {
		t.Error(err)
	}
}
