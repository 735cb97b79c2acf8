package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// List is a list of domains.
type List interface {
	Add(ctx context.Context, domains []string, at time.Time, note string) (added int, err error)
	Remove(ctx context.Context, domain string) (known bool, err error)
	Page(ctx context.Context, after string, limit int) (found []store.Listed, more bool, err error)
	Load(ctx context.Context, have string) (domains []string, version string, err error)
}

// ListLimit is that of the lists that RunList is given.
const ListLimit = 50

// RunList runs the suite on an empty list, which two workers have; other is
// another list of the same store, also empty.
func RunList(t *testing.T, one, two, other List) {
	s := &listSuite{t: t, base: time.UnixMilli(1_760_600_001_500)}
	s.load(one, "")
	first := s.version
	s.page(one, "", 10, "")
	s.remove(one, "a.com", false)
	s.add(one, 3, "c.com", "a.com", "xn--bcher-kva.de", "a.com")
	s.load(two, "a.com c.com xn--bcher-kva.de")
	if s.version == first {
		t.Error("a change gave no other version")
	}
	s.unchanged(one)

	// What is there stays as it is.
	before := s.version
	if n, err := two.Add(t.Context(), []string{"c.com", "a.com"}, s.base.Add(time.Hour), "another"); n != 0 || err != nil {
		t.Errorf("what is there was added: %d, %v", n, err)
	}
	if s.unchanged(one); s.version != before {
		t.Error("nothing changed but the version")
	}
	s.add(two, 1, "a.com", "b.com")
	s.page(one, "", 2, "a.com b.com +")
	s.page(two, "b.com", 2, "c.com xn--bcher-kva.de")
	s.page(two, "b", 1, "b.com +")
	s.page(one, "z.com", 2, "")

	s.remove(two, "b.com", true)
	s.remove(two, "b.com", false)
	s.load(one, "a.com c.com xn--bcher-kva.de")
	s.load(other, "")
	if known, err := other.Remove(t.Context(), "a.com"); known || err != nil {
		t.Errorf("both lists are one: %v", err)
	}
	s.full(one)
	s.race(one, two)
}

type listSuite struct {
	t       *testing.T
	base    time.Time
	version string // of what was loaded last
}

func (s *listSuite) add(l List, want int, domains ...string) {
	s.t.Helper()
	if n, err := l.Add(s.t.Context(), domains, s.base, "ours"); n != want || err != nil {
		s.t.Errorf("adding %v: %d, %v, want %d", domains, n, err, want)
	}
}

func (s *listSuite) remove(l List, domain string, want bool) {
	s.t.Helper()
	if known, err := l.Remove(s.t.Context(), domain); known != want || err != nil {
		s.t.Errorf("removing %s: %t, %v", domain, known, err)
	}
}

func (s *listSuite) load(l List, want string) {
	s.t.Helper()
	domains, version, err := l.Load(s.t.Context(), "")
	slices.Sort(domains)
	if err != nil || version == "" || strings.Join(domains, " ") != want {
		s.t.Errorf("loaded %v, %q, %v, want %s", domains, version, err, want)
	}
	s.version = version
}

func (s *listSuite) unchanged(l List) {
	s.t.Helper()
	domains, version, err := l.Load(s.t.Context(), s.version)
	if err != nil || version != s.version || len(domains) > 0 {
		s.t.Errorf("loaded again %v, %q, %v, want nothing of %q", domains, version, err, s.version)
	}
}

// page wants the domains, and a plus if there are more.
func (s *listSuite) page(l List, after string, limit int, want string) {
	s.t.Helper()
	found, more, err := l.Page(s.t.Context(), after, limit)
	var got []string
	for _, f := range found {
		got = append(got, f.Domain)
		if !f.Added.Equal(s.base) || f.Note != "ours" {
			s.t.Errorf("%+v", f)
		}
	}
	if more {
		got = append(got, "+")
	}
	if err != nil || strings.Join(got, " ") != want {
		s.t.Errorf("after %q: %v, %v, want %s", after, got, err, want)
	}
}

// full fills a list with three domains: of what does not fit nothing is taken.
func (s *listSuite) full(l List) {
	s.t.Helper()
	var many []string
	for i := range ListLimit - 3 {
		many = append(many, fmt.Sprintf("many%02d.com", i))
	}
	if n, err := l.Add(s.t.Context(), append(many, "more.com"), s.base, ""); n != 0 || !errors.Is(err, store.ErrListFull) {
		s.t.Errorf("added %d to a full list, %v", n, err)
	}
	s.load(l, "a.com c.com xn--bcher-kva.de")
	s.add(l, len(many), append(many, "a.com")...)
	s.add(l, 0, "c.com")
	if _, err := l.Add(s.t.Context(), []string{"more.com"}, s.base, ""); !errors.Is(err, store.ErrListFull) {
		s.t.Errorf("added to a full list: %v", err)
	}
	for _, domain := range many {
		s.remove(l, domain, true)
	}
}

// race lets two workers change the list at the same time: nothing is lost.
func (s *listSuite) race(one, two List) {
	s.t.Helper()
	var workers sync.WaitGroup
	for i, l := range []List{one, two, one, two} {
		workers.Go(func() {
			for n := range 5 {
				if added, err := l.Add(s.t.Context(), []string{fmt.Sprintf("race%d-%d.com", i, n)}, s.base, ""); added != 1 || err != nil {
					s.t.Errorf("%d, %v", added, err)
				}
			}
		})
	}
	workers.Wait()
	if domains, _, err := two.Load(s.t.Context(), s.version); len(domains) != 23 || err != nil {
		s.t.Errorf("%d domains after a race, %v", len(domains), err)
	}
}
