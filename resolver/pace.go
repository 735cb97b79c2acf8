package resolver

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// paceBurst is how much of what the limit allows may be sent at once.
const paceBurst = 10 * time.Millisecond

// pace holds what is sent to a number of queries a second. A nil pace has no
// limit. Safe for concurrent use.
type pace struct{ *rate.Limiter }

// newPace returns a pace of qps queries a second; nil for 0.
func newPace(qps int) *pace {
	if qps == 0 {
		return nil
	}
	burst := max(1, int(float64(qps)*paceBurst.Seconds()))
	return &pace{rate.NewLimiter(rate.Limit(qps), burst)}
}

// take returns how many of n may be sent now, and counts them as sent.
func (p *pace) take(n int) int {
	if p == nil {
		return n
	}
	now := time.Now()
	n = min(n, int(p.TokensAt(now)))
	if n <= 0 || !p.AllowN(now, n) { // somebody else was faster
		return 0
	}
	return n
}

// wait returns when one may be sent, or with the context's error or ErrClosed.
func (p *pace) wait(ctx, life context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	slot := p.Reserve()
	timer := time.NewTimer(slot.Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		slot.Cancel()
		return ctx.Err()
	case <-life.Done():
		return ErrClosed
	}
}
