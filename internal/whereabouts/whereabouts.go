// Package whereabouts finds out where events are: published, in the spool, among
// the dead letters, or in a file.
package whereabouts

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

// The last known state of an event.
const (
	Acked        = "acked"         // the worker remembers that Kafka, or the disk where there is none, took it
	Spooled      = "spooled"       // it waits in the spool
	DeadLettered = "dead_lettered" // it is among the dead letters
	Written      = "written"       // it is a line of a file of the mode without Kafka
	NotFound     = "not_found"
)

// Sighting is one place where an event was found.
type Sighting struct {
	Query    string    `json:"query"`
	State    string    `json:"state"`
	Name     string    `json:"name,omitempty"`
	ID       string    `json:"id,omitempty"`
	Seed     string    `json:"seed,omitempty"`
	Time     time.Time `json:"time,omitzero"` // published, dead-lettered, or when the file was begun
	Topic    string    `json:"topic,omitempty"`
	File     string    `json:"file,omitempty"`
	Line     int       `json:"line,omitempty"`
	Unknown  bool      `json:"unknown,omitempty"` // it may be in its topic all the same
	Error    string    `json:"error,omitempty"`
	Code     int       `json:"code,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Letter   string    `json:"letter,omitempty"` // its id for typostream dlq
}

// eventID is how an id looks: 128 bits in hex.
var eventID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Find searches a store, as *store.Bolt and *store.Redis do.
type Find func(context.Context, store.Query, func(seed string, e store.Entry)) error

// Inquiry is what to find out, and what has been.
type Inquiry struct {
	queries []query
	found   []Sighting
	Silent  bool // a place could not be asked
}

// query is a text, as an id or as a name.
type query struct {
	text string
	store.Query
}

// Parse takes each text for the id of an event or a name.
func Parse(texts []string) (*Inquiry, error) {
	q := &Inquiry{}
	for _, text := range texts {
		if eventID.MatchString(text) {
			q.queries = append(q.queries, query{text, store.Query{ID: text}})
			continue
		}
		name, err := fuzzer.NormalizeFQDN(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither the id of an event nor a name: %w", text, err)
		}
		q.queries = append(q.queries, query{text, store.Query{Name: name}})
	}
	return q, nil
}

// Len is how many there are to find.
func (q *Inquiry) Len() int { return len(q.queries) }

// Texts are what was to be found.
func (q *Inquiry) Texts() (texts []string) {
	for _, query := range q.queries {
		texts = append(texts, query.text)
	}
	return texts
}

// Files looks through the output directory. damaged says in words what of it
// cannot be read.
func (q *Inquiry) Files(dir string) (damaged []string, err error) {
	bad, err := emitter.ReadSpool(dir, func(k emitter.Kept) bool {
		q.match(k.Value, Sighting{State: Spooled, Time: k.Since, Topic: k.Topic, File: k.File, Line: k.Line, Unknown: k.Unknown})
		return true
	})
	if bad > 0 {
		q.Silent = true
		damaged = append(damaged, fmt.Sprintf("%s of the spool in %s cannot be read", lines(bad), dir))
	}
	if err != nil {
		return damaged, err
	}
	bad, err = emitter.ReadDeadLetters(dir, func(l emitter.StoredLetter) bool {
		q.match(l.Raw, Sighting{State: DeadLettered, Time: l.Time, Topic: l.Topic, Error: l.Reason, Code: l.Code, Attempts: l.Attempts, Letter: l.ID})
		return true
	})
	if bad > 0 {
		damaged = append(damaged, fmt.Sprintf("no dead letter in %s of the file in %s", lines(bad), dir))
	}
	if err != nil {
		return damaged, err
	}
	return damaged, emitter.ReadFiles(dir, func(k emitter.Kept) bool {
		q.match(k.Value, Sighting{State: Written, Time: k.Since, File: k.File, Line: k.Line})
		return true
	})
}

func lines(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

// match keeps the sighting if the record is of an event that was asked about.
func (q *Inquiry) match(record []byte, at Sighting) {
	for _, query := range q.queries {
		if !bytes.Contains(record, []byte(cmp.Or(query.Name, query.ID))) {
			continue // most are not, and need not be taken apart
		}
		who, ok := emitter.IdentityOf(record)
		if !ok || query.Name != "" && who.Name != query.Name || query.ID != "" && who.ID != query.ID {
			continue
		}
		at.Query, at.Name, at.ID, at.Seed = query.text, who.Name, who.ID, who.Seed
		q.found = append(q.found, at)
	}
}

// Store asks what a worker remembers as published.
func (q *Inquiry) Store(ctx context.Context, find Find) error {
	for _, query := range q.queries {
		if err := find(ctx, query.Query, func(seed string, e store.Entry) {
			q.found = append(q.found, Sighting{Query: query.text, State: Acked, Name: e.Name, ID: e.ID, Seed: seed, Time: e.Published.UTC()})
		}); err != nil {
			return err
		}
	}
	return nil
}

// Add takes in what another one, who was asked the same, knows as published.
func (q *Inquiry) Add(all []Sighting, silent bool) {
	for _, s := range all {
		if s.State == Acked {
			q.found = append(q.found, s)
		}
	}
	q.Silent = q.Silent || silent
}

// Result is what was found, and a sighting of state NotFound for each of those,
// missing in number, of which there is no trace.
func (q *Inquiry) Result() (found []Sighting, missing int) {
	seen := map[string]bool{}
	for _, f := range q.found {
		seen[f.Query] = true
	}
	for _, query := range q.queries {
		if !seen[query.text] {
			seen[query.text] = true
			missing++
			q.found = append(q.found, Sighting{Query: query.text, State: NotFound})
		}
	}
	return q.found, missing
}
