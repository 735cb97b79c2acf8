package pipeline

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestStopOfAScanThatWaits(t *testing.T) {
	f := newQueue(t, 10)
	scans := f.submit(t, handedIn(t, "a.com", "A"), handedIn(t, "b.com", "A"))
	if known, err := f.Stop(scans[0].ID); !known || err != nil {
		t.Fatal(known, err)
	}
	if s, ok := f.Scan(scans[0].ID); !ok || s.State != ScanStopped || !s.Began.IsZero() || s.Ended.IsZero() {
		t.Errorf("%+v, %v", s, ok)
	}
	if again := f.submit(t, handedIn(t, "a.com", "A")); again[0].Merged || again[0].ID == scans[0].ID {
		t.Errorf("%+v is merged with what was stopped", again[0])
	}
	checkBooks(t, f.Stats())
	f.restart(t, 10)
	if _, ok := f.Scan(scans[0].ID); ok || f.Stats().Waiting() != 2 {
		t.Errorf("it is back: %+v", f.Stats())
	}
	for _, unknown := range []string{scans[0].ID, "queue-1-1", "", "x"} {
		if known, err := f.Stop(unknown); known || err != nil {
			t.Errorf("%q: %v, %v", unknown, known, err)
		}
	}
}

func TestStopOfAScanInWork(t *testing.T) {
	f := newQueue(t, 10)
	scans := f.submit(t, handedIn(t, "a.com", "A"), handedIn(t, "b.com", "A"))
	first, _ := f.next()
	second, _ := f.next()
	for _, s := range scans {
		if _, err := f.Stop(s.ID); err != nil {
			t.Fatal(err)
		}
	}
	if first.Context.Err() == nil || second.Context.Err() == nil {
		t.Error("not cancelled")
	}
	first.Done(first.Context.Err())
	second.Finished(Summary{Generated: 3})
	second.Done(nil) // it was at its end
	for i, want := range []ScanState{ScanStopped, ScanDone} {
		if s, _ := f.Scan(scans[i].ID); s.State != want {
			t.Errorf("%s is %v, want %v", scans[i].ID, s.State, want)
		}
	}
	if _, ok := f.next(); ok {
		t.Error("it is begun again")
	}
	checkBooks(t, f.Stats())
	f.restart(t, 10)
	if f.Stats().Waiting() != 0 {
		t.Error("it is back after a restart")
	}
}

// A scan may be stopped between the moment it is handed out and the one in
// which the queue notes that.
func TestStopWhileItIsHandedOut(t *testing.T) {
	f := newQueue(t, 10)
	scans := f.submit(t, handedIn(t, "a.com", "A"))
	e, d := f.persons.offer()
	f.persons.deliveries.Add(1)
	if _, err := f.Stop(scans[0].ID); err != nil {
		t.Fatal(err)
	}
	f.take(e)
	if d.Context.Err() == nil {
		t.Error("not cancelled")
	}
	d.Done(d.Context.Err())
	if s := f.Stats(); s.Stopped != 1 || s.InWork != 0 || s.Waiting() != 0 {
		t.Errorf("%+v", s)
	}
	checkBooks(t, f.Stats())
}

func TestStopWithoutADisk(t *testing.T) {
	f := newQueue(t, 10)
	scans := f.submit(t, handedIn(t, "a.com", "A"))
	f.file.Close()
	if known, err := f.Stop(scans[0].ID); !known || err == nil {
		t.Errorf("%v, %v", known, err)
	}
	if s := f.Stats(); s.Waiting() != 1 {
		t.Errorf("%+v", s)
	}
}

func TestScansAreListedInPages(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := newQueue(t, 10)
	var ids []string
	for i := range 5 {
		ids = append(ids, f.submit(t, handedIn(t, fmt.Sprintf("a%d.com", i), "A"))[0].ID)
	}
	d, _ := f.next()
	d.Done(nil)
	running, _ := f.next()
	defer running.Done(context.Canceled)
	if _, err := f.Stop(ids[4]); err != nil {
		t.Fatal(err)
	}
	check := func(state *ScanState, before string, limit int, more bool, want ...string) {
		t.Helper()
		list, gotMore := f.Scans(state, before, limit)
		var got []string
		for _, s := range list {
			got = append(got, s.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || more != gotMore {
			t.Errorf("%v, %v; want %v, %v", got, gotMore, want, more)
		}
	}
	waiting, done, stopped := ScanWaiting, ScanDone, ScanStopped
	check(nil, "", 2, true, ids[4], ids[3])
	check(nil, ids[3], 2, true, ids[2], ids[1])
	check(nil, ids[1], 2, false, ids[0])
	check(&waiting, "", 9, false, ids[3], ids[2])
	check(&done, "", 9, false, ids[0])
	check(&stopped, "", 9, false, ids[4])
	check(nil, "elsewhere", 9, false)
}
