package check

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const manifests = "../kubernetes"

// typed is the Go type of each kind but those of Strimzi and KEDA, for which testdata has schemas: the one has no Go types
// to be had, those of the other come with half of Kubernetes.
var typed = map[string]func() any{
	"v1/Namespace":                            func() any { return new(core.Namespace) },
	"v1/ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"v1/Service":                              func() any { return new(core.Service) },
	"v1/ConfigMap":                            func() any { return new(core.ConfigMap) },
	"apps/v1/StatefulSet":                     func() any { return new(apps.StatefulSet) },
	"policy/v1/PodDisruptionBudget":           func() any { return new(disruption.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1/ServiceMonitor": func() any { return new(monitoring.ServiceMonitor) },
}

// resource is one of those that a kustomization makes.
type resource struct {
	kind, name string
	text       []byte
	value      any // of the type above, or what yaml makes of it
}

// build makes the resources of a kustomization, as `kubectl kustomize` does, and decodes them strictly.
func build(t *testing.T, folder string) (resources []resource) {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(manifests, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		gvk := r.GetGvk()
		kind := strings.TrimPrefix(gvk.Group+"/"+gvk.Version+"/"+gvk.Kind, "/")
		resources = append(resources, resource{kind, r.GetName(), text, decode(t, kind, text)})
	}
	return resources
}

func decode(t *testing.T, kind string, text []byte) any {
	t.Helper()
	if value := typed[kind]; value != nil {
		v := value()
		if err := yaml.UnmarshalStrict(text, v); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
		return v
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile("testdata/" + strings.ToLower(kind[strings.LastIndex(kind, "/")+1:]) + ".schema.json")
	if err != nil {
		t.Fatalf("%s has neither a type nor a schema: %v", kind, err)
	}
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	return value
}

// one is the only resource of type T, or the one of that name.
func one[T any](t *testing.T, resources []resource, name string) (found T) {
	t.Helper()
	n := 0
	for _, r := range resources {
		if v, ok := r.value.(T); ok && (name == "" || r.name == name) {
			found = v
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d resources of type %T, want one", n, found)
	}
	return found
}

// settings are the variables of the worker: those of the map, and its own.
func settings(set *apps.StatefulSet, m *core.ConfigMap) map[string]string {
	all := maps.Clone(m.Data)
	for _, v := range set.Spec.Template.Spec.Containers[0].Env {
		all[v.Name] = v.Value
	}
	return all
}

// What is made of each folder is what the API takes; every file is used; references lead somewhere.
func TestManifests(t *testing.T) {
	used := map[string]bool{}
	for folder, want := range map[string]int{"base": 6, "full": 6 + 1 + 5 + 1 + 2 + 1} {
		resources := build(t, folder)
		if len(resources) != want {
			t.Errorf("%s makes %d resources, want %d", folder, len(resources), want)
		}
		for _, r := range resources {
			used[r.kind] = true
			if folder == "full" && r.kind != "v1/Namespace" && !bytes.Contains(r.text, []byte("\n  namespace: typostream\n")) {
				t.Errorf("%s %s is in no namespace", r.kind, r.name)
			}
		}
	}
	for kind := range typed {
		if !used[kind] {
			t.Errorf("no manifest is a %s", kind)
		}
	}
	err := filepath.WalkDir(manifests, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "kustomization.yaml" || filepath.Ext(path) != ".yaml" {
			return err
		}
		list, err := os.ReadFile(filepath.Join(filepath.Dir(path), "kustomization.yaml"))
		if err == nil && !bytes.Contains(list, []byte(d.Name())) {
			err = fmt.Errorf("%s is in no kustomization", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The restricted profile, judged by what the API server judges with.
func TestRestricted(t *testing.T) {
	checks, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	set := one[*apps.StatefulSet](t, build(t, "full"), "")
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range checks.EvaluatePod(restricted, &set.Spec.Template.ObjectMeta, &set.Spec.Template.Spec) {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	set.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities = nil
	if policy.AggregateCheckResults(checks.EvaluatePod(restricted, &set.Spec.Template.ObjectMeta, &set.Spec.Template.Spec)).Allowed {
		t.Error("the profile allows a container that keeps its capabilities")
	}
}

// The worker: settings that it knows, files where the settings say, time to end, memory that the runtime keeps to.
func TestStatefulSet(t *testing.T) {
	resources := build(t, "full")
	set, config := one[*apps.StatefulSet](t, resources, ""), one[*core.ConfigMap](t, resources, "")
	pod := set.Spec.Template.Spec
	worker := pod.Containers[0]
	env := settings(set, config)
	checkEnvironment(t, "the StatefulSet", slices.Sorted(maps.Keys(env)))
	checkGrace(t, "the StatefulSet", time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second)
	if worker.EnvFrom[0].ConfigMapRef.Name != config.Name {
		t.Errorf("the variables come from %s, the map is %s", worker.EnvFrom[0].ConfigMapRef.Name, config.Name)
	}
	for _, name := range []string{"KAFKA_SASL_PASSWORD_FILE", "KAFKA_SSL_CA_FILE", "OUTPUT_DIR"} {
		i := slices.IndexFunc(worker.VolumeMounts, func(m core.VolumeMount) bool {
			return env[name] == m.MountPath || strings.HasPrefix(env[name], m.MountPath+"/")
		})
		if i < 0 {
			t.Errorf("%s is %s, where nothing is mounted", name, env[name])
			continue
		}
		volume := worker.VolumeMounts[i].Name
		if name == "OUTPUT_DIR" {
			if set.Spec.VolumeClaimTemplates[0].Name != volume {
				t.Errorf("OUTPUT_DIR is on %s, which is no claim", volume)
			}
			continue
		}
		j := slices.IndexFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == volume })
		if secret := pod.Volumes[j].Secret; secret == nil || filepath.Join(worker.VolumeMounts[i].MountPath, secret.Items[0].Path) != env[name] {
			t.Errorf("%s is %s, which no secret holds", name, env[name])
		}
	}
	for name := range config.Data {
		if strings.Contains(name, "PASSWORD") && !strings.HasSuffix(name, "_FILE") {
			t.Errorf("%s is no secret", name)
		}
	}
	limit := worker.Resources.Limits.Memory().Value()
	if of, err := bytesOf(env["GOMEMLIMIT"]); err != nil || of < limit*8/10 || of > limit*95/100 {
		t.Errorf("GOMEMLIMIT is %s, the limit %d: %v", env["GOMEMLIMIT"], limit, err)
	}
	spool, err := bytesOf(env["SPOOL_MAX_BYTES"])
	if err != nil {
		t.Fatal(err)
	}
	dead, err := bytesOf(env["DLQ_MAX_BYTES"])
	if err != nil {
		t.Fatal(err)
	}
	if volume := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().Value(); spool+dead > volume*8/10 {
		t.Errorf("spool and dead letters may have %d of %d bytes", spool+dead, volume)
	}
	if worker.LivenessProbe.HTTPGet.Path != "/livez" || worker.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Error("the probes ask for something else")
	}
	port := worker.Ports[0]
	if env["HTTP_ADDR"] != fmt.Sprintf(":%d", port.ContainerPort) || worker.LivenessProbe.HTTPGet.Port.StrVal != port.Name || worker.ReadinessProbe.HTTPGet.Port.StrVal != port.Name {
		t.Errorf("the worker listens at %s, the port is %+v", env["HTTP_ADDR"], port)
	}
}

// bytesOf reads a size as typostream and the Go runtime write it.
func bytesOf(text string) (int64, error) {
	number := strings.TrimRight(text, "KMGiB")
	n, err := strconv.ParseInt(number, 10, 64)
	return n << map[string]int{"": 0, "KiB": 10, "MiB": 20, "GiB": 30}[text[len(number):]], err
}

// Whatever selects the workers selects them all, and nobody else.
func TestSelectors(t *testing.T) {
	resources := build(t, "full")
	set, service := one[*apps.StatefulSet](t, resources, ""), one[*core.Service](t, resources, "")
	budget, network := one[*disruption.PodDisruptionBudget](t, resources, ""), one[*networking.NetworkPolicy](t, resources, "")
	monitor := one[*monitoring.ServiceMonitor](t, resources, "")
	pod, other := labels.Set(set.Spec.Template.Labels), labels.Set{"app.kubernetes.io/name": "redis"}
	for of, selector := range map[string]map[string]string{
		"the StatefulSet": set.Spec.Selector.MatchLabels, "the Service": service.Spec.Selector,
		"the budget": budget.Spec.Selector.MatchLabels, "the network policy": network.Spec.PodSelector.MatchLabels,
		"the spread": set.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if s := labels.SelectorFromSet(selector); !s.Matches(pod) || s.Matches(other) {
			t.Errorf("%s selects %v", of, selector)
		}
	}
	if set.Spec.ServiceName != service.Name {
		t.Errorf("the StatefulSet's service is %s", set.Spec.ServiceName)
	}
	if !labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) || monitor.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name {
		t.Errorf("the monitor looks for %v and port %s, the service has %v", monitor.Spec.Selector.MatchLabels, monitor.Spec.Endpoints[0].Port, service.Labels)
	}
	if service.Labels[monitor.Spec.JobLabel] != "typostream" {
		t.Error("the alert rules look for the job typostream")
	}
}

// The network policy lets out what the settings need, and nothing else.
func TestNetwork(t *testing.T) {
	resources := build(t, "full")
	network, config := one[*networking.NetworkPolicy](t, resources, ""), one[*core.ConfigMap](t, resources, "")
	ports := func(of []networking.NetworkPolicyPort) (all []string) {
		for _, p := range of {
			all = append(all, string(*p.Protocol)+"/"+p.Port.String())
		}
		return all
	}
	var out []string
	for _, rule := range network.Spec.Egress {
		out = append(out, ports(rule.Ports)...)
	}
	_, kafka, _ := strings.Cut(config.Data["KAFKA_BOOTSTRAP"], ":")
	if want := []string{"UDP/53", "TCP/53", "TCP/" + kafka, "TCP/6379"}; !slices.Equal(out, want) {
		t.Errorf("out go %q, want %q", out, want)
	}
	for i, pod := range []labels.Set{1: {"strimzi.io/cluster": "kafka", "strimzi.io/kind": "Kafka"}, 2: {"app.kubernetes.io/name": "redis"}} {
		if pod != nil && !labels.SelectorFromSet(network.Spec.Egress[i].To[0].PodSelector.MatchLabels).Matches(pod) {
			t.Errorf("pods with %v are not reached by %v", pod, network.Spec.Egress[i].To[0].PodSelector.MatchLabels)
		}
	}
	if len(network.Spec.PolicyTypes) != 2 || len(network.Spec.Ingress) != 1 || !slices.Equal(ports(network.Spec.Ingress[0].Ports), []string{"TCP/http"}) {
		t.Errorf("in come %+v", network.Spec.Ingress)
	}
}

// scaledObject is what matters of one.
type scaledObject struct {
	Spec struct {
		ScaleTargetRef  struct{ Kind, Name string }
		MaxReplicaCount int
		Triggers        []struct {
			Metadata          map[string]string
			AuthenticationRef struct{ Name string }
		}
	}
}

// Scaling looks at the topic and group of the settings and ends at the topic's partitions.
func TestScaling(t *testing.T) {
	resources := build(t, "full")
	config, set := one[*core.ConfigMap](t, resources, ""), one[*apps.StatefulSet](t, resources, "")
	var scaled scaledObject
	authentications, topics := map[string]bool{}, 0
	for _, r := range resources {
		switch r.kind {
		case "keda.sh/v1alpha1/ScaledObject":
			if err := yaml.Unmarshal(r.text, &scaled); err != nil {
				t.Fatal(err)
			}
		case "keda.sh/v1alpha1/TriggerAuthentication":
			authentications[r.name] = true
		}
	}
	if ref := scaled.Spec.ScaleTargetRef; ref.Kind != "StatefulSet" || ref.Name != set.Name || set.Spec.Replicas != nil {
		t.Errorf("scaled is %+v, whose replicas are %v", ref, set.Spec.Replicas)
	}
	trigger := scaled.Spec.Triggers[0]
	for field, setting := range map[string]string{"bootstrapServers": "KAFKA_BOOTSTRAP", "consumerGroup": "KAFKA_GROUP_ID", "topic": "KAFKA_INPUT_TOPIC"} {
		if trigger.Metadata[field] != config.Data[setting] {
			t.Errorf("%s is %s, %s is %s", field, trigger.Metadata[field], setting, config.Data[setting])
		}
	}
	if strings.ReplaceAll(strings.ToUpper(trigger.Metadata["sasl"]), "_", "") != strings.ReplaceAll(config.Data["KAFKA_SASL_MECHANISM"], "-", "") {
		t.Errorf("the mechanism is %s", trigger.Metadata["sasl"])
	}
	if !authentications[trigger.AuthenticationRef.Name] {
		t.Errorf("authentication is by %s", trigger.AuthenticationRef.Name)
	}
	for _, r := range resources {
		if !strings.HasSuffix(r.kind, "/KafkaTopic") {
			continue
		}
		topics++
		spec := r.value.(map[string]any)["spec"].(map[string]any)
		if r.name == config.Data["KAFKA_INPUT_TOPIC"] && fmt.Sprint(spec["partitions"]) != fmt.Sprint(scaled.Spec.MaxReplicaCount) {
			t.Errorf("%v partitions, at most %d workers", spec["partitions"], scaled.Spec.MaxReplicaCount)
		}
	}
	if topics != 5 {
		t.Errorf("%d topics, want 5", topics)
	}
}

// The user may do what the worker does, on its topics and group, and nothing else.
func TestUser(t *testing.T) {
	resources := build(t, "full")
	config := one[*core.ConfigMap](t, resources, "").Data
	want := map[string]string{
		"topic " + config["KAFKA_INPUT_TOPIC"]: "Read DescribeConfigs", "group " + config["KAFKA_GROUP_ID"]: "Read",
	}
	for _, name := range []string{"KAFKA_OUTPUT_TOPIC", "KAFKA_INACTIVE_TOPIC", "KAFKA_CRAWL_TOPIC", "KAFKA_DLQ_TOPIC"} {
		want["topic "+config[name]] = "Write DescribeConfigs"
	}
	want["topic "+config["KAFKA_OUTPUT_TOPIC"]] = "Read Write DescribeConfigs" // what a killed worker has published
	i := slices.IndexFunc(resources, func(r resource) bool { return strings.HasSuffix(r.kind, "/KafkaUser") })
	var user struct {
		Metadata struct{ Name string }
		Spec     struct {
			Authorization struct {
				ACLs []struct {
					Resource   struct{ Type, Name, PatternType string }
					Operations []string
				}
			}
		}
	}
	if err := yaml.Unmarshal(resources[i].text, &user); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, acl := range user.Spec.Authorization.ACLs {
		if acl.Resource.PatternType != "literal" {
			t.Errorf("%s names more than one %s", acl.Resource.Name, acl.Resource.Type)
		}
		got[acl.Resource.Type+" "+acl.Resource.Name] = strings.Join(acl.Operations, " ")
	}
	if !maps.Equal(got, want) {
		t.Errorf("the user may %v, want %v", got, want)
	}
	if user.Metadata.Name != config["KAFKA_SASL_USERNAME"] {
		t.Errorf("the user is %s", user.Metadata.Name)
	}
}
