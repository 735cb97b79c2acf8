package emitter

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// pace lets so many new messages a second into the emitter, so that a large
// scan does not crowd out who else uses the cluster. nil lets all through.
type pace struct{ *rate.Limiter }

// newPace: perSecond 0 is no limit, burst 0 is a second's worth.
func newPace(perSecond, burst int) *pace {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = perSecond
	}
	return &pace{rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// take waits until some of n messages may go on, and returns how many. It
// returns an error when ctx ends, or would end before that; when over ends the
// limit does too.
func (p *pace) take(ctx, over context.Context, n int) (int, error) {
	if p == nil || over.Err() != nil {
		return n, nil
	}
	n = min(n, p.Burst())
	if p.AllowN(time.Now(), n) {
		return n, nil
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(over, stop)()
	err := p.WaitN(waiting, n)
	if err == nil || over.Err() != nil && ctx.Err() == nil {
		return n, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return 0, err
}
