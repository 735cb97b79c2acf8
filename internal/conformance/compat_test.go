package conformance

import (
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The service that is replaced scanned a brand when it came, wrote all that it
// found each time, and did not come back to it. It said that all was well while
// Redis was gone, which is not to be repeated.
func TestCompatPublishesEachTime(t *testing.T) {
	d := deployments[slices.IndexFunc(deployments, func(d deployment) bool { return d.compat })]
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, rawTopic, crawlTopic, inactiveTopic, letterTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	redis := miniredis.RunT(t)
	w := startWorker(t, d, cluster.ListenAddrs(), redis.Addr())
	submission := &message{key: []byte("acme.com"), value: []byte(strings.TrimSpace(readFile(t, "testdata/inputs/web_submit.jsonl")))}
	for times := 1; times <= 2; times++ {
		if err := w.client.ProduceSync(t.Context(), &kgo.Record{Topic: d.input, Key: submission.key, Value: submission.value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		w.awaitLogs(`"msg":"Completed acme.com: 3 unique variants emitted"`, times)
	}
	w.awaitLog(`"msg":"Completed gamma.org: `) // of the file
	w.awaitMetric("typostream_seeds_in_work", 0)
	if status, body := w.get("/api/v1/watched"); status != http.StatusServiceUnavailable || !strings.Contains(body, "RESCAN_INTERVAL is 0") {
		t.Errorf("/api/v1/watched: %d %s", status, body)
	}
	// Redis goes away, and nobody has anything to ask it: the worker tells.
	redis.Close()
	waitFor(t, "/readyz says that Redis is gone", func() bool {
		status, body := w.get("/readyz")
		return status == http.StatusOK && strings.Contains(body, `"status":"degraded"`) && strings.Contains(body, `"store":"`)
	})
	w.terminate()

	events := ownRecords(w.read(d.output), []*message{submission})
	times := map[string]int{}
	s := schema(t, "event")
	for _, r := range events {
		decode(t, s, r.Value, forbidden...)
		times[string(r.Key)]++
	}
	want := map[string]int{"acme.com": 2, "acmes.com": 2, "acmee.com": 2, "accme.com": 2, "gamma.org": 1, "gammas.org": 1, "gammaa.org": 1}
	if !maps.Equal(times, want) {
		t.Errorf("came %v, want %v", times, want)
	}
	if redis.Exists("typostream:watched") || redis.Exists("typostream:watch:due") || redis.Exists("first_seen:acmes.com") {
		t.Errorf("Redis has %v", redis.Keys())
	}
	checkFile(t, w, events)
}

// get asks the worker.
func (w *worker) get(path string) (status int, body string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.http+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// checkFile: what went to the topic is in the service's file too, byte for byte.
func checkFile(t *testing.T, w *worker, events []*kgo.Record) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "dnstwist_variants_????????T??????Z.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the files are %q, %v", files, err)
	}
	written := strings.Split(strings.TrimSuffix(readFile(t, files[0]), "\n"), "\n")
	var sent []string
	for _, r := range events {
		sent = append(sent, string(r.Value))
	}
	slices.Sort(written)
	slices.Sort(sent)
	if !slices.Equal(written, sent) {
		t.Errorf("the file has %d lines, the topic %d records:\n%s\n\n%s", len(written), len(sent), strings.Join(written, "\n"), strings.Join(sent, "\n"))
	}
}
