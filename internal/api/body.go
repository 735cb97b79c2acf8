package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	maxBody  = 1 << 20 // bytes
	maxBulk  = 10_000  // names
	maxNotes = 4096    // bytes
)

// common is what both bodies have. A null is as good as nothing; fields that
// nobody knows are let pass.
type common struct {
	Brand string `json:"cse_id"`
	// Notes are a person's to herself: they are checked and not kept.
	Notes string `json:"notes"`
	Full  *bool  `json:"use_full_pipeline"`
}

// nameOnly says that look-alikes are not wanted.
func (c common) nameOnly() bool { return c.Full != nil && !*c.Full }

func (c common) check() error {
	if len(c.Notes) > maxNotes {
		return fmt.Errorf("notes has %d bytes, more than %d", len(c.Notes), maxNotes)
	}
	return nil
}

type single struct {
	common
	URL    string `json:"url"`
	Domain string `json:"domain"`
}

type bulk struct {
	common
	URLs []string `json:"urls"`
}

// parseSingle reads the body of a submission; input is its url, or else its
// domain.
func parseSingle(body []byte) (s single, input string, err error) {
	if err := parse(body, &s); err != nil {
		return single{}, "", err
	}
	if input = s.URL; input == "" {
		input = s.Domain
	}
	if input == "" {
		return single{}, "", errors.New("url or domain is missing")
	}
	return s, input, s.check()
}

func parseBulk(body []byte) (b bulk, err error) {
	if err := parse(body, &b); err != nil {
		return bulk{}, err
	}
	switch {
	case len(b.URLs) == 0:
		return bulk{}, errors.New("urls is missing or empty")
	case len(b.URLs) > maxBulk:
		return bulk{}, fmt.Errorf("urls has %d names, more than %d", len(b.URLs), maxBulk)
	}
	return b, b.check()
}

// parse decodes the one JSON object that the body must be.
func parse(body []byte, into any) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("the body is not a JSON object")
	}
	err := json.Unmarshal(body, into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return fmt.Errorf("%s is a JSON %s", kind.Field, kind.Value)
	case err != nil:
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return nil
}
