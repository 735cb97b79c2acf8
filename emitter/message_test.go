package emitter

import (
	"strings"
	"testing"
)

func TestLegalTopic(t *testing.T) {
	for name, want := range map[string]bool{
		"domains.candidates": true, "a": true, "A-Z_0.9": true, strings.Repeat("a", 249): true, "...": true,
		"": false, ".": false, "..": false, strings.Repeat("a", 250): false, "a b": false, "a/b": false, "ä": false, "a\n": false, "a\x00": false,
	} {
		if legalTopic(name) != want {
			t.Errorf("%.20q: %v, want %v", name, !want, want)
		}
	}
}
