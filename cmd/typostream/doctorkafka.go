package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/typostream/typostream/emitter"
)

// role is what a worker does with a topic.
type role struct {
	topic   string
	write   bool // else it is read
	reread  bool // read besides, after a worker was killed
	copies  bool // only copies go there: nothing that is wrong with it loses an event
	unkeyed bool // its messages have no key
}

// roles are the topics that a worker with these settings uses.
func roles(s *settings) []role {
	var all []role
	if !s.Oneshot {
		all = append(all, role{topic: s.InputTopic})
	}
	all = append(all, role{topic: s.Topics.Candidates, write: true, reread: s.DedupTTL > 0 && !s.EmitAll && (!s.Oneshot || s.RedisHost != "")}, role{topic: s.Topics.Crawl, write: true}, role{topic: s.Topics.Inactive, write: true, unkeyed: true})
	if s.DeadLetterTopic != "" {
		all = append(all, role{topic: s.DeadLetterTopic, write: true, copies: true})
	}
	return all
}

func examineKafka(ctx context.Context, s *settings, f *doctorFlags) []diagnosis {
	cfg := emitter.InspectConfig{Brokers: s.Brokers, Timeout: f.timeout, Dial: s.Security.Dial}
	topics := roles(s)
	for _, r := range topics {
		cfg.Topics = append(cfg.Topics, r.topic)
	}
	if !s.Oneshot {
		cfg.Group, cfg.GroupTopic = s.Group, s.InputTopic
	}
	return diagnoseKafka(emitter.Inspect(ctx, cfg), topics, s, f.workers)
}

// diagnoseKafka judges what was found; topics are in the order of the facts.
func diagnoseKafka(found *emitter.Inspection, topics []role, s *settings, workers int) []diagnosis {
	all := diagnoseBootstrap(found)
	if found.Err != nil {
		if !silent(found.Bootstrap) {
			all = append(all, diagnosis{checkMetadata, "cluster", fail, found.Err.Error(), "see whether the brokers have a controller; topics, rights and group could not be looked at"})
		}
		return all
	}
	all = append(all, diagnoseBrokers(found)...)
	all = append(all, diagnoseIdempotence(found))
	for i, r := range topics {
		all = append(all, diagnoseTopic(found.Topics[i], r, found.Rights, s)...)
		if !r.write && found.Topics[i].Err == nil {
			all = append(all, diagnosePartitions(found.Topics[i], workers))
		}
	}
	if found.Group != nil {
		all = append(all, diagnoseGroup(found.Group)...)
	}
	return all
}

// silent reports whether no address answers.
func silent(bootstrap []emitter.Endpoint) bool {
	return !slices.ContainsFunc(bootstrap, func(e emitter.Endpoint) bool { return e.Err == nil })
}

func diagnoseBootstrap(found *emitter.Inspection) []diagnosis {
	bad := warn
	if silent(found.Bootstrap) {
		bad = fail
	}
	var all []diagnosis
	for _, e := range found.Bootstrap {
		d := diagnosis{checkBootstrap, e.Address, pass, "answers in " + rounded(e.Took), ""}
		if e.Err != nil {
			d.Verdict, d.Finding, d.Remedy = bad, e.Err.Error(), hint(e.Err)
		}
		all = append(all, d)
	}
	return all
}

// diagnoseBrokers judges the addresses that clients are told to connect to.
func diagnoseBrokers(found *emitter.Inspection) []diagnosis {
	var all []diagnosis
	for _, e := range found.Brokers {
		d := diagnosis{checkBroker, fmt.Sprintf("%d at %s", e.ID, e.Address), pass, "answers in " + rounded(e.Took) + ", as Kafka " + e.Release + " or newer", ""}
		switch {
		case e.Err != nil:
			d.Verdict, d.Finding, d.Remedy = fail, "cannot be used from here: "+e.Err.Error(), hint(e.Err)
			if remedy := detour(found, e); remedy != "" {
				d.Remedy = remedy
			}
		case e.Release == "":
			d.Verdict, d.Finding, d.Remedy = fail, "older than Kafka 0.11", "upgrade the broker"
		}
		all = append(all, d)
	}
	return all
}

// detour explains a broker that cannot be connected to at the address that it
// advertises, where we came in by another; empty if that is not the case.
func detour(found *emitter.Inspection, e emitter.Endpoint) string {
	var failure *emitter.EndpointError
	if !errors.As(e.Err, &failure) || failure.Step == emitter.StepAnswer || configured(found.Bootstrap, e.Address) {
		return ""
	}
	i := slices.IndexFunc(found.Bootstrap, func(b emitter.Endpoint) bool { return b.Err == nil })
	if i < 0 {
		return ""
	}
	by := found.Bootstrap[i].Address
	remedy := fmt.Sprintf("broker %d advertises %s, another address than %s, to which you connected: clients use that one only to ask, and then connect to what is advertised. "+
		"Through a port-forward or a tunnel to %s this cannot work. Set advertised.listeners to an address that is reachable from here, or run typostream where %s is",
		e.ID, e.Address, by, by, e.Address)
	if slices.ContainsFunc(found.Brokers, func(b emitter.Endpoint) bool { return b.Err == nil }) {
		return "start the broker if it is down; if it is up: " + remedy
	}
	return remedy
}

func configured(bootstrap []emitter.Endpoint, address string) bool {
	return slices.ContainsFunc(bootstrap, func(b emitter.Endpoint) bool { return b.Address == address })
}

func diagnoseIdempotence(found *emitter.Inspection) diagnosis {
	d := diagnosis{checkIdempotence, "cluster", pass, "a producer id was given", ""}
	switch err := found.ProducerErr; {
	case slices.ContainsFunc(found.Brokers, func(e emitter.Endpoint) bool { return e.Err == nil && !e.Idempotent }):
		d.Verdict, d.Finding, d.Remedy = fail, "a broker takes no idempotent writes (KIP-98)", "upgrade it: nothing is written without them"
	case emitter.IsDenied(err):
		d.Verdict, d.Finding, d.Remedy = fail, "no right to a producer id", "grant WRITE on the topics, before Kafka 2.8 also IDEMPOTENT_WRITE on the cluster"
	case err != nil:
		d.Verdict, d.Finding, d.Remedy = fail, "no producer id: "+plain(err), "nothing is written without one; see the brokers' logs"
	}
	return d
}

// diagnoseGroup judges a group's state, rights and positions.
func diagnoseGroup(g *emitter.GroupFacts) []diagnosis {
	var all []diagnosis
	if g.Rights.Known() || emitter.IsDenied(g.Err) {
		d := diagnosis{checkRights, "group " + g.Name, pass, "READ", ""}
		if !g.Rights.Allows(emitter.OpRead) {
			d.Verdict, d.Finding, d.Remedy = fail, "READ is missing", "grant READ on group "+g.Name+" to this user"
		}
		all = append(all, d)
	}
	d := diagnosis{checkGroup, g.Name, pass, "", ""}
	var lag, gone int64
	var unread []string
	for _, p := range g.Positions {
		lag, gone = lag+p.Lag(), gone+p.Gone()
		if p.Err != nil {
			unread = append(unread, strconv.Itoa(p.Partition))
		}
	}
	switch {
	case emitter.IsDenied(g.Err):
		return all
	case g.Err != nil:
		d.Verdict, d.Finding, d.Remedy = fail, plain(g.Err), "see whether the broker that coordinates it is up and can be reached from here, and topic __consumer_offsets has leaders"
	case gone > 0:
		d.Verdict, d.Finding = fail, fmt.Sprintf("%d messages of %s were deleted before they were read", gone, g.Topic)
		d.Remedy = "send these seeds again; raise the retention of " + g.Topic + " above the longest time that no worker runs, and run enough workers"
	case len(unread) > 0:
		d.Verdict, d.Finding = warn, fmt.Sprintf("no offsets of partitions %s of %s", strings.Join(unread, " "), g.Topic)
		d.Remedy = "see whether their leaders are up and can be reached from here"
	case lag > 0 && g.Members == 0:
		d.Verdict, d.Finding = warn, fmt.Sprintf("%d messages of %s are to be read, and nobody reads them", lag, g.Topic)
		d.Remedy = "start a worker before the retention of " + g.Topic + " deletes them"
	default:
		d.Finding = fmt.Sprintf("%s, %d messages of %s to be read", plural(g.Members, "member"), lag, g.Topic)
	}
	return append(all, d)
}

// hint is the advice of an error, if it has some.
func hint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// plain says an error in one short line, a time-out in words.
func plain(err error) string {
	var network net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
		return "no answer in time"
	}
	return printable(err.Error())
}

// rounded is a time as people want to read it.
func rounded(d time.Duration) string {
	digits := time.Duration(math.Pow10(max(0, len(strconv.FormatInt(int64(d), 10))-2)))
	return d.Round(digits).String()
}
