package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/typostream/typostream/emitter"
)

// What a topic should have. A topic that typostream creates has it.
const (
	goodReplicas  = 3
	goodInSync    = 2
	goodRetention = 7 * 24 * time.Hour
	poorRetention = 24 * time.Hour
)

// diagnoseTopic judges one topic for what is done with it. What is wrong with
// one that holds copies only is a warning at most.
func diagnoseTopic(t emitter.TopicFacts, r role, cluster emitter.Rights, s *settings) []diagnosis {
	all := []diagnosis{diagnoseExistence(t, cluster, s)}
	if t.Err == nil {
		all = append(all, diagnoseRights(t, r), diagnoseReplication(t))
		if t.SettingsErr != nil {
			all = append(all, diagnosis{
				checkSettings, t.Name, warn, "cannot be read: " + plain(t.SettingsErr),
				"grant DESCRIBE_CONFIGS on topic " + t.Name + " to this user; min.insync.replicas, retention and the like were not checked",
			})
		} else {
			all = append(all, diagnoseInSync(t), diagnoseElection(t), diagnoseRetention(t, r))
			if r.write {
				all = append(all, diagnoseSize(t, s.BatchBytes))
			}
		}
	}
	for i := range all {
		if r.copies && all[i].Verdict == fail {
			all[i].Verdict = warn
		}
	}
	return all
}

func diagnoseExistence(t emitter.TopicFacts, cluster emitter.Rights, s *settings) diagnosis {
	d := diagnosis{checkTopic, t.Name, pass, plural(t.Partitions, "partition") + ", all with leaders and in sync", ""}
	create := "create it: kafka-topics --create --topic " + t.Name + " --partitions 12 --replication-factor 3 --config min.insync.replicas=2"
	switch {
	case emitter.IsMissing(t.Err) && s.CreateTopics && cluster.Known() && !cluster.Allows(emitter.OpCreate):
		d.Verdict, d.Finding = fail, "does not exist, and there is no right to create it"
		d.Remedy = create + "; or grant CREATE on the cluster to this user"
	case emitter.IsMissing(t.Err) && s.CreateTopics:
		d.Verdict, d.Finding, d.Remedy = warn, "does not exist; a worker creates it", "start the worker, then check again"
	case emitter.IsMissing(t.Err):
		d.Verdict, d.Finding, d.Remedy = fail, "does not exist", create+"; or set KAFKA_CREATE_TOPICS=true"
	case emitter.IsDenied(t.Err):
		d.Verdict, d.Finding, d.Remedy = fail, "no right to see it", "grant DESCRIBE, and what is to be done with it (WRITE or READ), on topic "+t.Name+" to this user"
	case t.Err != nil:
		d.Verdict, d.Finding, d.Remedy = fail, plain(t.Err), "see the brokers' logs"
	case len(t.Leaderless) > 0:
		d.Verdict, d.Finding = fail, "no leader for "+partitions(t.Leaderless)
		d.Remedy = "bring the brokers back that have their replicas"
	case len(t.Behind) > 0:
		d.Verdict, d.Finding = warn, "replicas are not in sync of "+partitions(t.Behind)
		d.Remedy = "bring the missing broker back, or see why it lags; until then one more that fails stops writes"
	}
	return d
}

// partitions names the first few.
func partitions(list []int) string {
	const most = 10
	var words []string
	for _, p := range list[:min(len(list), most)] {
		words = append(words, strconv.Itoa(p))
	}
	if more := len(list) - most; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return "partitions " + strings.Join(words, " ")
}

func diagnoseRights(t emitter.TopicFacts, r role) diagnosis {
	name, operation := "READ", emitter.OpRead
	if r.write {
		name, operation = "WRITE", emitter.OpWrite
	}
	d := diagnosis{checkRights, t.Name, pass, name + " and DESCRIBE", ""}
	if r.reread {
		d.Finding = "READ, " + d.Finding
	}
	switch {
	case !t.Rights.Known():
		d.Verdict, d.Finding, d.Remedy = warn, "the brokers do not tell (before Kafka 2.3)", "see that this user has "+name+" and DESCRIBE on topic "+t.Name
	case !t.Rights.Allows(operation):
		d.Verdict, d.Finding, d.Remedy = fail, name+" is missing", "grant "+name+" on topic "+t.Name+" to this user"
	case r.reread && !t.Rights.Allows(emitter.OpRead):
		d.Verdict, d.Finding = warn, "READ is missing: what a killed worker has published is published again"
		d.Remedy = "grant READ on topic " + t.Name + " to this user"
	}
	return d
}

func diagnoseReplication(t emitter.TopicFacts) diagnosis {
	d := diagnosis{checkReplication, t.Name, pass, strconv.Itoa(t.Replicas), ""}
	remedy := "raise it to 3: kafka-reassign-partitions, or create the topic anew with --replication-factor 3"
	switch {
	case t.Replicas < 2:
		d.Verdict, d.Finding, d.Remedy = fail, plural(t.Replicas, "replica")+": what a broker's disk loses is lost", remedy
	case t.Replicas < goodReplicas:
		d.Verdict, d.Finding, d.Remedy = warn, "2 replicas: writes stop, or rest on one disk, while a broker is away", remedy
	}
	return d
}

func diagnoseInSync(t emitter.TopicFacts) diagnosis {
	d := diagnosis{checkInSync, t.Name, pass, "min.insync.replicas " + t.Settings["min.insync.replicas"], ""}
	n, err := strconv.Atoi(t.Settings["min.insync.replicas"])
	set := func(n int) string {
		return fmt.Sprintf("kafka-configs --alter --topic %s --add-config min.insync.replicas=%d", t.Name, n)
	}
	switch {
	case err != nil:
		d.Verdict, d.Finding, d.Remedy = warn, "min.insync.replicas is not told", "see that it is 2 for topic "+t.Name
	case n > t.Replicas:
		d.Verdict, d.Remedy = fail, "more than its replicas, so nothing can be written: "+set(min(goodInSync, t.Replicas))
	case n < goodInSync:
		d.Verdict, d.Remedy = fail, "a write is acknowledged when only the leader has it, and lost with it: "+set(goodInSync)+", with 3 replicas"
	case n == t.Replicas:
		d.Verdict, d.Remedy = warn, "as many as there are replicas, so writes stop while one broker is away: raise the replicas to "+strconv.Itoa(n+1)
	}
	return d
}

func diagnoseElection(t emitter.TopicFacts) diagnosis {
	const name = "unclean.leader.election.enable"
	d := diagnosis{checkElection, t.Name, pass, name + " is off", ""}
	switch t.Settings[name] {
	case "true":
		d.Verdict, d.Finding = fail, name+" is on: a replica that lacks acknowledged events may become the leader"
		d.Remedy = fmt.Sprintf("kafka-configs --alter --topic %s --add-config %s=false", t.Name, name)
	case "":
		d.Finding = name + " is no setting of these brokers"
	}
	return d
}

// diagnoseRetention judges what deletes messages that nobody has read.
func diagnoseRetention(t emitter.TopicFacts, r role) diagnosis {
	d := diagnosis{Check: checkRetention, Subject: t.Name, Verdict: pass}
	policy, size := t.Settings["cleanup.policy"], t.Settings["retention.bytes"]
	ms, err := strconv.ParseInt(t.Settings["retention.ms"], 10, 64)
	age := time.Duration(min(max(ms, 0), int64(1<<63-1)/int64(time.Millisecond))) * time.Millisecond
	alter := "kafka-configs --alter --topic " + t.Name + " --add-config "
	deletes := policy == "" || strings.Contains(policy, "delete")
	switch {
	case strings.Contains(policy, "compact") && r.unkeyed:
		d.Verdict, d.Finding, d.Remedy = fail, "cleanup.policy "+policy+": its messages have no key, and are refused", alter+"cleanup.policy=delete"
	case strings.Contains(policy, "compact"):
		d.Verdict, d.Finding, d.Remedy = warn, "cleanup.policy "+policy+": of messages with the same key only the last is kept", alter+"cleanup.policy=delete, unless that is meant"
	case !deletes || err == nil && ms < 0 && unlimited(size):
		d.Finding = "nothing is deleted"
	case err != nil:
		d.Verdict, d.Finding, d.Remedy = warn, "retention.ms is not told", "see that it is at least 7 days"
	case ms >= 0 && age < poorRetention && !r.write:
		d.Verdict, d.Finding, d.Remedy = fail, inDays(age)+": seeds are lost if no worker runs for that time", alter+"retention.ms=604800000"
	case ms >= 0 && age < goodRetention:
		d.Verdict, d.Finding, d.Remedy = warn, inDays(age)+": less than 7 days for readers that are away", alter+"retention.ms=604800000"
	case !unlimited(size):
		d.Verdict, d.Finding, d.Remedy = warn, "retention.bytes "+size+" a partition deletes messages of any age", alter+"retention.bytes=-1, if the disks are large enough"
	default:
		d.Finding = inDays(age)
	}
	return d
}

// unlimited reports whether retention.bytes sets no limit.
func unlimited(size string) bool { return size == "" || strings.HasPrefix(size, "-") }

func inDays(d time.Duration) string {
	if d < 24*time.Hour {
		return d.String()
	}
	if d%(24*time.Hour) == 0 {
		return plural(int(d/(24*time.Hour)), "day")
	}
	return strconv.FormatFloat(d.Hours()/24, 'f', 1, 64) + " days"
}

// diagnoseSize judges whether a batch of the configured size is taken.
func diagnoseSize(t emitter.TopicFacts, batch int) diagnosis {
	d := diagnosis{checkSize, t.Name, pass, "max.message.bytes " + t.Settings["max.message.bytes"], ""}
	n, err := strconv.Atoi(t.Settings["max.message.bytes"])
	switch {
	case err != nil:
		d.Verdict, d.Finding, d.Remedy = warn, "max.message.bytes is not told", "see that it is at least "+strconv.Itoa(batch)+" (KAFKA_BATCH_SIZE)"
	case n < batch:
		d.Verdict, d.Finding = warn, fmt.Sprintf("max.message.bytes %d is less than a batch may have (%d)", n, batch)
		d.Remedy = fmt.Sprintf("raise it, or set KAFKA_BATCH_SIZE to %d: batches that are refused are halved and sent again, and an event larger than that is a dead letter", n)
	}
	return d
}

// diagnosePartitions judges whether every worker has something to read.
func diagnosePartitions(t emitter.TopicFacts, workers int) diagnosis {
	d := diagnosis{checkPartitions, t.Name, pass, fmt.Sprintf("%d for %s", t.Partitions, plural(workers, "worker")), ""}
	if t.Partitions < workers {
		d.Verdict, d.Finding = warn, fmt.Sprintf("%s: %s would have nothing to read", plural(t.Partitions, "partition"), plural(workers-t.Partitions, "worker"))
		d.Remedy = fmt.Sprintf("kafka-topics --alter --topic %s --partitions %d, or run fewer workers", t.Name, workers)
	}
	return d
}
