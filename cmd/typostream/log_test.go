package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTextLog(t *testing.T) {
	var out bytes.Buffer
	term := &terminal{stderr: &screen{w: &out}}
	log := term.logger(&settings{LogFormat: "text", LogLevel: "info"})
	log.Debug("not shown")
	log.Info("plain")
	log.Warn("nameserver left out", "nameserver", "192.0.2.1:53", "reason", "no answer within 2s")
	log.Error("disk", "cause", errors.New("full\nstop"), "in", 5*time.Second, "empty", "")
	log.With("seed", "acme.com").Warn("odd \x1b[2J", "name", "a\u009bb\u202ec", "equals", "a=b")
	log.WithGroup("group").Info("grouped", slog.Int("n", 1))
	want := `typostream: plain
typostream: warning: nameserver left out (nameserver=192.0.2.1:53 reason="no answer within 2s")
typostream: error: disk (cause="full\nstop" in=5s empty="")
typostream: warning: odd \x1b[2J (seed=acme.com name="a\u009bb\u202ec" equals="a=b")
typostream: grouped (n=1)
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestJSONLog(t *testing.T) {
	var out bytes.Buffer
	term := &terminal{stderr: &screen{w: &out}}
	log := term.logger(&settings{LogFormat: "json", LogLevel: "warn"})
	log.Info("not shown")
	log.Warn("odd \x1b[2J", "cause", errors.New("x"), "in", 10*time.Second)
	var line struct{ Level, Msg, Cause, In string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "WARN" || line.Msg != "odd \x1b[2J" || line.Cause != "x" || line.In != "10s" {
		t.Errorf("%+v", line)
	}
	if strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q", out.String())
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain, münchen, 日本": "plain, münchen, 日本",
		"\x1b[31mred":        `\x1b[31mred`,
		"a\tb\x00\x7f":       `a\tb\x00\x7f`,
		"one\ntwo":           "one; two",
		"\u009b\u202e\u2028": `\u009b\u202e\u2028`,
		"\xff\xfe":           `\xff\xfe`,
		"\uFFFD kept":        "\uFFFD kept",
		"\U000e0001":         `\U000e0001`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
