package store_test

import (
	"path/filepath"
	"testing"

	"github.com/typostream/typostream/internal/store"
)

func openQueue(t *testing.T, path string) (*store.File, *store.Queue) {
	t.Helper()
	f, setAside, err := store.Open(path)
	if err != nil || setAside != "" {
		t.Fatalf("%v, set aside %q", err, setAside)
	}
	t.Cleanup(func() { f.Close() })
	q, err := f.Queue()
	if err != nil {
		t.Fatal(err)
	}
	return f, q
}

// Numbers are never given twice, not even after what had them was removed and
// the file was closed.
func TestQueueNumbersGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	f, q := openQueue(t, path)
	created := q.Created()
	if first, err := q.Put([][]byte{[]byte("a"), []byte("b")}, nil); first != 1 || err != nil {
		t.Fatalf("%d, %v", first, err)
	}
	if _, err := q.Put(nil, []store.Queued{{Number: 1, Value: []byte("A")}}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{2, 2, 9} {
		if err := q.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, q = openQueue(t, path)
	if !q.Created().Equal(created) {
		t.Errorf("begun %v, and %v after a restart", created, q.Created())
	}
	if first, err := q.Put([][]byte{[]byte("c")}, nil); first != 3 || err != nil {
		t.Fatalf("%d, %v, want number 3", first, err)
	}
	all, err := q.All()
	if err != nil || len(all) != 2 || all[0].Number != 1 || string(all[0].Value) != "A" || all[1].Number != 3 || string(all[1].Value) != "c" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestQueueOfClosedFile(t *testing.T) {
	f, q := openQueue(t, filepath.Join(t.TempDir(), "state.db"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Put([][]byte{[]byte("a")}, nil); err == nil {
		t.Error("Put is no error")
	}
	if err := q.Remove(1); err == nil {
		t.Error("Remove is no error")
	}
	if _, err := q.All(); err == nil {
		t.Error("All is no error")
	}
	if _, err := f.Queue(); err == nil {
		t.Error("Queue is no error")
	}
}
