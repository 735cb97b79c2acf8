package emitter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestEmitPace: in any stretch of time no more go through than the burst and the
// rate allow, whatever the size of the slices.
func TestEmitPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(100, 20)
		begun, through := time.Now(), 0
		for _, slice := range []int{1, 7, 512, 20, 21, 300} {
			for left := slice; left > 0; {
				n, err := p.take(t.Context(), t.Context(), left)
				if err != nil || n < 1 || n > 20 || n > left {
					t.Fatalf("%d of %d: %v", n, left, err)
				}
				left -= n
				through += n
				if most := 20 + 100*time.Since(begun).Seconds(); float64(through) > most+1e-3 {
					t.Fatalf("%d after %v, at most %.1f may be", through, time.Since(begun), most)
				}
			}
		}
		if want := time.Duration(861-20) * 10 * time.Millisecond; (time.Since(begun) - want).Abs() > time.Millisecond {
			t.Errorf("861 messages took %v, want %v", time.Since(begun), want)
		}
	})
}

func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1, 1)
		if n, err := p.take(t.Context(), t.Context(), 5); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
		begun := time.Now()
		if n, err := p.take(ctx, t.Context(), 5); n != 0 || !errors.Is(err, cause) || time.Since(begun) != 300*time.Millisecond {
			t.Errorf("cancelled: %d, %v after %v", n, err, time.Since(begun))
		}
		soon, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if n, err := p.take(soon, t.Context(), 1); n != 0 || err == nil {
			t.Errorf("a deadline too near: %d, %v", n, err)
		}
		over, end := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, end)
		if n, err := p.take(t.Context(), over, 1); n != 1 || err != nil {
			t.Errorf("the limit ended: %d, %v", n, err)
		}
		if n, err := p.take(t.Context(), over, 1000); n != 1000 || err != nil {
			t.Errorf("after its end: %d, %v", n, err)
		}
	})
	var none *pace
	if n, err := none.take(t.Context(), t.Context(), 9); n != 9 || err != nil || newPace(0, 5) != nil {
		t.Errorf("no limit: %d, %v", n, err)
	}
	if got := newPace(50, 0).Burst(); got != 50 {
		t.Errorf("the burst is %d, want a second's worth", got)
	}
}

// TestEmitRate: what the limit holds back is handed back when the context
// ends, and spooled when Close gives up waiting; the books balance.
func TestEmitRate(t *testing.T) {
	r := newRig(t, func(c *KafkaConfig) { c.EmitRate, c.EmitBurst = 4, 3 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var receipt Receipt
	go func() {
		var err error
		receipt, err = r.Emit(ctx, messages(100)...)
		done <- err
	}()
	for r.Accounting().Acked < 3 {
		if len(done) > 0 {
			t.Fatal("it did not wait")
		}
		pauseFor(t.Context(), time.Millisecond)
	}
	cancel()
	err := <-done
	lost, ok := errors.AsType[*UndeliveredError](err)
	if !ok || receipt.Acked < 3 || receipt.Acked+lost.Count != 100 || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", receipt, err)
	}
	balanced(t, r.Accounting())

	go func() {
		var err error
		receipt, err = r.Emit(t.Context(), messages(100)...)
		done <- err
	}()
	for r.Accounting().Acked == int64(100-lost.Count) { // until the second call is inside
		pauseFor(t.Context(), time.Millisecond)
	}
	gone, end := context.WithCancel(t.Context())
	end()
	if err := r.Close(gone); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || receipt.Total() != 100 || receipt.Spooled == 0 {
		t.Errorf("%+v, %v", receipt, err)
	}
}
