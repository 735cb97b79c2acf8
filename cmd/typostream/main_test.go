package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// With -update the files that cmp compares with are rewritten to what came out.
var update = flag.Bool("update", false, "rewrite the expected outputs in testdata/script")

// TestMain makes the test binary double as typostream, so that the scripts run
// the real command in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"typostream": main})
}

// TestScripts runs testdata/script: one promise of the command line a file,
// told in its first lines. The commands that the scripts have beside those of
// testscript are in script_test.go.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setupScript,
		Cmds:                scriptCommands,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		UpdateScripts:       *update,
	})
}
