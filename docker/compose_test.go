// Package docker has no code: its tests check the image as far as that goes without a container engine.
package docker

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The image has nothing but what the last stage puts there, and does not run as root.
func TestDockerfile(t *testing.T) {
	_, last, ok := strings.Cut(read(t, "Dockerfile"), "\nFROM scratch\n")
	if !ok || strings.Contains(last, "\nFROM ") {
		t.Fatal("the last stage is not from scratch")
	}
	for _, want := range []string{"USER 65532:65532", "VOLUME /out", `ENTRYPOINT ["/typostream"]`, `CMD ["worker"]`} {
		if !slices.Contains(strings.Split(last, "\n"), want) {
			t.Errorf("the last stage does not say %s", want)
		}
	}
}
