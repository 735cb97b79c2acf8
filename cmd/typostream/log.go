package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// logger writes to standard error: JSON objects for the worker, lines for a
// person for the one-shot commands.
func (t *terminal) logger(s *settings) *slog.Logger {
	log, _ := t.leveledLogger(s)
	return log
}

// leveledLogger is logger with what changes its level.
func (t *terminal) leveledLogger(s *settings) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[s.LogLevel])
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(t.stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: readableDuration})), level
	}
	return slog.New(&lineHandler{level: level, mu: &sync.Mutex{}, w: t.stderr}), level
}

// readableDuration writes "10s", where slog has a number of nanoseconds.
func readableDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// lineHandler prints "typostream: warning: message (key=value …)", as the
// command's own lines look.
type lineHandler struct {
	level slog.Leveler
	attrs string
	mu    *sync.Mutex // guards w
	w     io.Writer
}

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	prefix := ""
	switch {
	case r.Level >= slog.LevelError:
		prefix = "error: "
	case r.Level >= slog.LevelWarn:
		prefix = "warning: "
	}
	var attrs strings.Builder
	attrs.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&attrs, a)
		return true
	})
	text := r.Message
	if attrs.Len() > 0 {
		text += " (" + strings.TrimPrefix(attrs.String(), " ") + ")"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintf(h.w, "typostream: %s%s\n", prefix, printable(text))
	return err
}

func writeAttr(b *strings.Builder, a slog.Attr) {
	value := a.Value.Resolve().String()
	if value == "" || strings.ContainsFunc(value, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '=' || r == '(' || r == ')' || !unicode.IsPrint(r)
	}) {
		value = strconv.Quote(value)
	}
	fmt.Fprintf(b, " %s=%s", a.Key, value)
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		writeAttr(&b, a)
	}
	return &lineHandler{level: h.level, attrs: b.String(), mu: h.mu, w: h.w}
}

// WithGroup is not used by our packages; a group's name is dropped.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }
