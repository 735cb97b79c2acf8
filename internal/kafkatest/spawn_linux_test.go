package kafkatest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
)

// childMode makes this test binary a stand-in for a test process that is killed while its nodes run.
const childMode = "KAFKATEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMode) != "" {
		sp := newSpawner()
		grandchild := exec.Command("sleep", "3600")
		grandchild.Stdout = os.Stdout // the pipe stays open for as long as it lives
		if err := sp.start(grandchild); err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString("started\n")
		select {}
	}
	os.Exit(m.Run())
}

// Nodes do not survive a test process that is killed.
func TestChildrenDieWithTheTest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childMode+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || line != "started\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 { // ends when no process has the pipe's other end
		t.Errorf("%q, %v", rest, err)
	}
	_ = child.Wait()
}
