package emitter

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A check of Kafka's health asks for metadata. While that takes its time,
// events go where the leaders were before.
func TestCheckHoldsUpNoEvent(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	want := []Message{msg("before.example", 0), msg("meanwhile.example", 1)}
	if _, err := r.Emit(t.Context(), want[0]); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}, 1), make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		r.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	checked := make(chan error, 1)
	go func() { checked <- r.Check(t.Context(), testTopic) }()
	<-asked
	if got, err := r.Emit(t.Context(), want[1]); err != nil || got.Acked != 1 {
		t.Errorf("Emit = %+v, %v", got, err)
	}
	select {
	case err := <-checked:
		t.Errorf("the check was over: %v", err)
	default:
	}
	close(release)
	if err := <-checked; err != nil {
		t.Errorf("Check = %v", err)
	}
	r.exactly(t, testTopic, want)
}
