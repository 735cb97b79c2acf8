package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
)

const (
	firstStep = 100 * time.Millisecond
	longStep  = time.Second
	// coordinatorLimit is how long a broker may take to answer about the group.
	coordinatorLimit = 3 * time.Second
)

// awaitCoordinator returns when the coordinator of the group serves it, or ctx
// is done.
//
// kafka-go must not join before that. When it meets a coordinator that is gone,
// not chosen yet or still loading, it forgets who it was and joins as somebody
// new. The group then waits for the member that it was until the session ends,
// and assigns the partitions anew.
func (s *KafkaSource) awaitCoordinator(ctx context.Context, member string, generation int) {
	for wait := firstStep; ctx.Err() == nil; {
		settling, err := s.beat(ctx, member, generation)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.setUnready(err)
		if !settling {
			wait = firstStep
			pause(ctx, s.cfg.RetryDelay)
			continue
		}
		pause(ctx, min(wait, s.cfg.RetryDelay))
		wait = min(2*wait, longStep)
	}
}

// beat sends a sign of life to the coordinator. No error means that it serves
// the group, whatever it thinks of the member. With an error, settling says that
// a broker answers: it is a matter of seconds until there is a coordinator.
func (s *KafkaSource) beat(ctx context.Context, member string, generation int) (settling bool, err error) {
	answer, settling, err := s.askCoordinator(ctx, &heartbeat.Request{GroupID: s.cfg.Group, MemberID: member, GenerationID: int32(generation)})
	if err != nil {
		return settling, err
	}
	switch code := kafka.Error(answer.(*heartbeat.Response).ErrorCode); {
	case unsettled(code):
		return true, code
	case code == kafka.GroupAuthorizationFailed:
		return false, code
	}
	return false, nil
}

// leave ends a membership that kafka-go has forgotten, so that the group does not
// wait for it. If that fails, it ends with its session.
func (s *KafkaSource) leave(ctx context.Context, member string) {
	_, _, err := s.askCoordinator(ctx, &leavegroup.Request{GroupID: s.cfg.Group, MemberID: member})
	if err != nil {
		s.cfg.Log.Debug("the former membership of the group is left to its end", "group", s.cfg.Group, "cause", err)
	}
}

// askCoordinator asks the first broker that answers, as kafka-go does, which of
// them coordinates the group, and then that one.
func (s *KafkaSource) askCoordinator(ctx context.Context, question protocol.Message) (answer protocol.Message, settling bool, err error) {
	for _, broker := range s.cfg.Brokers {
		if answer, err = s.ask(ctx, broker, &findcoordinator.Request{Key: s.cfg.Group}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, false, err
	}
	where := answer.(*findcoordinator.Response)
	if code := kafka.Error(where.ErrorCode); code != 0 {
		return nil, unsettled(code), code
	}
	answer, err = s.ask(ctx, net.JoinHostPort(where.Host, strconv.Itoa(int(where.Port))), question)
	if err != nil {
		return nil, true, fmt.Errorf("the group's coordinator does not answer: %w", err)
	}
	return answer, true, nil
}

// ask sends one request over a connection of its own, in the oldest version as
// kafka-go's group does.
func (s *KafkaSource) ask(ctx context.Context, address string, question protocol.Message) (protocol.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, coordinatorLimit)
	defer cancel()
	conn, err := s.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer, err := protocol.NewConn(conn, s.dialer.ClientID).RoundTrip(question)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return answer, err
}

// unsettled reports whether a code is a part of a group's normal life: a
// coordinator has yet to be chosen, or to read what it coordinates.
func unsettled(err error) bool {
	var code kafka.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup:
		return true
	}
	return false
}
