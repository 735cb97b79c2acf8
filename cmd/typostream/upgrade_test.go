package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// upgradeData is a directory that does not exist yet: the data of this version
// is written there. testdata/README.md says when.
var upgradeData = flag.String("upgrade-data", "", "write the output directory of this version to `DIR`, for testdata/upgrade")

// TestUpgrade opens what each earlier version left behind: its spool, its state
// file, its dead letters.
func TestUpgrade(t *testing.T) {
	if *upgradeData != "" {
		data, err := filepath.Abs(*upgradeData)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(data, 0o755); err != nil {
			t.Fatal(err)
		}
		runUpgrade(t, "write", data)
		return
	}
	versions, err := filepath.Glob("../../testdata/upgrade/*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no earlier versions: %v", err)
	}
	for _, version := range versions {
		t.Run(filepath.Base(version), func(t *testing.T) {
			data, err := filepath.Abs(version)
			if err != nil {
				t.Fatal(err)
			}
			runUpgrade(t, "open", data)
		})
	}
}

// runUpgrade runs a script of testdata/upgrade with the directory in $DATA.
func runUpgrade(t *testing.T, script, data string) {
	testscript.Run(t, testscript.Params{
		Files: []string{filepath.Join("testdata", "upgrade", script+".txtar")},
		Cmds:  scriptCommands,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", data)
			env.Setenv("PROCESS_CSV_ON_STARTUP", "false")
			env.Setenv("DEDUP_TTL_SECS", "315360000") // ten years, the most there is: what the data remembers must not run out
			return setupScript(env)
		},
		RequireExplicitExec: true,
	})
}
