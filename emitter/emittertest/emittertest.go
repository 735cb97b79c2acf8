// Package emittertest is the behaviour that every emitter has: a suite to run
// over each implementation.
package emittertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/typostream/typostream/emitter"
)

// Emitter is what the suite needs of an implementation.
type Emitter interface {
	Emit(ctx context.Context, msgs ...emitter.Message) (emitter.Receipt, error)
	Accounting() emitter.Accounting
	Close(ctx context.Context) error
}

// Subject is one emitter under test.
type Subject struct {
	Emitter Emitter
	// Topic takes messages.
	Topic string
	// Values returns the values that are durable in Topic, in any order that
	// keeps the order of each key.
	Values func(t *testing.T) [][]byte
}

// Run runs the suite; open gives a fresh, empty subject each time.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"durable when Emit returns":   testDurable,
		"nothing is something":        testEmpty,
		"order within a key":          testOrder,
		"big value":                   testBig,
		"value byte for byte":         testBytes,
		"many callers":                testConcurrent,
		"cancelled before it begins":  testCancelled,
		"illegal messages":            testIllegal,
		"Close is safe twice":         testCloseTwice,
		"Close beside Emit":           testCloseBeside,
		"accounts for every message ": testAccounting,
	} {
		t.Run(strings.TrimSpace(name), func(t *testing.T) {
			s := open(t)
			test(t, s)
			if err := s.Emitter.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
			checkBooks(t, s)
		})
	}
}

func checkBooks(t *testing.T, s Subject) {
	t.Helper()
	a := s.Emitter.Accounting()
	if a.InFlight != 0 || a.Accepted != a.Acked+a.Spooled+a.DeadLettered {
		t.Errorf("the books do not balance: %+v", a)
	}
}

func message(s Subject, key string, n int) emitter.Message {
	return emitter.Message{Topic: s.Topic, Key: key, Value: fmt.Appendf(nil, `{"canonical_fqdn":%q,"n":%d}`, key, n)}
}

func emit(t *testing.T, s Subject, msgs ...emitter.Message) {
	t.Helper()
	got, err := s.Emitter.Emit(t.Context(), msgs...)
	if err != nil || got != (emitter.Receipt{Acked: len(msgs)}) {
		t.Fatalf("Emit = %+v, %v; want %d acked", got, err, len(msgs))
	}
}

func testDurable(t *testing.T, s Subject) {
	m := message(s, "sbii.co.in", 1)
	emit(t, s, m)
	if got := s.Values(t); len(got) != 1 || !bytes.Equal(got[0], m.Value) {
		t.Errorf("durable: %q, want %q", got, m.Value)
	}
}

func testEmpty(t *testing.T, s Subject) {
	emit(t, s)
	if got := s.Values(t); len(got) != 0 {
		t.Errorf("durable: %q, want nothing", got)
	}
}

func testOrder(t *testing.T, s Subject) {
	const keys, each = 7, 50
	var msgs []emitter.Message
	for n := range each {
		for k := range keys {
			msgs = append(msgs, message(s, fmt.Sprintf("k%d.example", k), n))
		}
	}
	emit(t, s, msgs[:100]...)
	emit(t, s, msgs[100:]...)
	next := map[string]int{}
	for _, v := range s.Values(t) {
		var e struct {
			Key string `json:"canonical_fqdn"`
			N   int    `json:"n"`
		}
		if err := json.Unmarshal(v, &e); err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		if e.N != next[e.Key] {
			t.Fatalf("key %s: %d came where %d was due", e.Key, e.N, next[e.Key])
		}
		next[e.Key]++
	}
	if len(next) != keys {
		t.Errorf("%d keys, want %d", len(next), keys)
	}
}

func testBig(t *testing.T, s Subject) {
	m := message(s, "big.example", 1)
	m.Value = []byte(`{"canonical_fqdn":"big.example","pad":"` + strings.Repeat("x", 900_000) + `"}`)
	emit(t, s, message(s, "small.example", 1), m)
	if got := s.Values(t); len(got) != 2 || !slices.ContainsFunc(got, func(v []byte) bool { return bytes.Equal(v, m.Value) }) {
		t.Errorf("%d values, want 2 with the big one among them", len(got))
	}
}

func testBytes(t *testing.T, s Subject) {
	m := message(s, "xn--sb-lka.example", 1)
	m.Value = []byte(" {\"b\" :1,\"a\":\"\\u003c<é\u2028\t\",\"a\":2} ")
	emit(t, s, m)
	if got := s.Values(t); len(got) != 1 || !bytes.Equal(got[0], m.Value) {
		t.Errorf("durable: %q, want %q", got, m.Value)
	}
}

func testConcurrent(t *testing.T, s Subject) {
	const callers, each = 64, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				got, err := s.Emitter.Emit(t.Context(), message(s, fmt.Sprintf("c%d.example", c), n))
				if err != nil || got.Acked != 1 {
					t.Errorf("Emit = %+v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, v := range s.Values(t) {
		seen[string(v)]++
	}
	if len(seen) != callers*each {
		t.Errorf("%d different values, want %d", len(seen), callers*each)
	}
	for v, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", v, n)
		}
	}
}

func testCancelled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := s.Emitter.Emit(ctx, message(s, "late.example", 1))
	if !errors.Is(err, context.Canceled) || got.Total() != 0 {
		t.Errorf("Emit = %+v, %v; want nothing and context.Canceled", got, err)
	}
	if got := s.Values(t); len(got) != 0 {
		t.Errorf("durable: %q, want nothing", got)
	}
}

func testIllegal(t *testing.T, s Subject) {
	for _, bad := range []emitter.Message{
		{Topic: "", Key: "k", Value: []byte("{}")},
		{Topic: "..", Key: "k", Value: []byte("{}")},
		{Topic: "a/b", Key: "k", Value: []byte("{}")},
		{Topic: strings.Repeat("t", 250), Key: "k", Value: []byte("{}")},
		{Topic: s.Topic, Key: "k"},
	} {
		got, err := s.Emitter.Emit(t.Context(), message(s, "good.example", 1), bad)
		me, ok := errors.AsType[*emitter.MessageError](err)
		if !ok || me.Index != 1 || me.Hint() == "" || got.Total() != 0 {
			t.Errorf("Emit(%.40q) = %+v, %v; want a *MessageError for message 1", bad, got, err)
		}
	}
	if got := s.Values(t); len(got) != 0 {
		t.Errorf("durable: %q, want nothing", got)
	}
}

func testCloseTwice(t *testing.T, s Subject) {
	emit(t, s, message(s, "a.example", 1))
	for range 2 {
		if err := s.Emitter.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := s.Emitter.Emit(t.Context(), message(s, "b.example", 1)); !errors.Is(err, emitter.ErrClosed) {
		t.Errorf("Emit after Close: %v, want ErrClosed", err)
	}
	if got := s.Values(t); len(got) != 1 {
		t.Errorf("%d values, want 1", len(got))
	}
}

func testCloseBeside(t *testing.T, s Subject) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		want int
	)
	started := make(chan struct{}, 100)
	for c := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				got, err := s.Emitter.Emit(t.Context(), message(s, fmt.Sprintf("c%d.example", c), n))
				mu.Lock()
				want += got.Acked
				mu.Unlock()
				if err != nil {
					if !errors.Is(err, emitter.ErrClosed) {
						t.Errorf("Emit: %v", err)
					}
					return
				}
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	<-started
	if err := s.Emitter.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	if got := len(s.Values(t)); got != want {
		t.Errorf("%d values, want the %d that were acked", got, want)
	}
}

func testAccounting(t *testing.T, s Subject) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			a := s.Emitter.Accounting()
			if a.Accepted != a.Acked+a.Spooled+a.DeadLettered+a.InFlight || a.InFlight < 0 {
				t.Errorf("the books do not balance: %+v", a)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for n := range 50 {
		emit(t, s, message(s, "a.example", n), message(s, "b.example", n))
	}
	close(stop)
	wg.Wait()
	if a := s.Emitter.Accounting(); a.Acked != 100 || a.Accepted != 100 {
		t.Errorf("books: %+v, want 100 acked", a)
	}
}
