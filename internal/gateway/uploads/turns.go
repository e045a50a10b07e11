package uploads

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/turns"
)

// A request that brings a byte costs the catalog as many commits as one that brings 8 MiB,
// and one that asks for an offset nearly as many. So those take turns, by which no number
// of them takes the place of others in the queue for the catalog.
const (
	pieceTurns     = 4 // small pieces stored at once
	pieceTurnsEach = 1 // of one address
	headTurns      = 4 // HEADs at once
	headTurnsEach  = 2 // of one address
	headTurnLasts  = time.Second
	turnPatience   = 5 * time.Second
)

// takeTurn waits for the turn of a request. It fails with errCrowded when that doesn't
// come soon, and with the cause of ctx.
func (c *call) takeTurn(ctx context.Context, all *turns.Turns) (done func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, turnPatience, errCrowded)
	defer cancel()
	return all.Take(ctx, c.server.host.Address(c.r))
}

// awaitTurn is takeTurn for a PATCH that brings little, once all of that has come: a body
// that comes slowly must not keep the turn from others. Everyone else doesn't wait.
func (c *call) awaitTurn(ctx context.Context) (done func(), err error) {
	if c.r.Method != http.MethodPatch || c.body == nil || c.bringsMuch() {
		return func() {}, nil
	}
	return c.takeTurn(ctx, c.server.pieces)
}

// bringsMuch reads the beginning of the body, if it is for where the upload stands, and
// reports whether it is worth a lease: what the request says of its length is no proof. Of
// one that says that it is small it reads all, but for the last piece, of which there is one: it is
// stored as it comes.
func (c *call) bringsMuch() bool {
	u := c.upload
	left := u.Length - u.Offset
	at, err := strconv.ParseInt(c.r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at != u.Offset || u.Length >= 0 && c.r.ContentLength > left {
		return false // it will be refused
	}
	isLast := func() bool { return c.body.ended && c.body.count == left }
	if c.saysSmall() && c.r.ContentLength != left {
		c.body.readAhead(leastPiece)
		return isLast()
	}
	c.body.readAhead(1)
	return !c.body.ended || isLast()
}

// saysSmall reports whether a request says that it brings little.
func (c *call) saysSmall() bool { return c.r.ContentLength >= 0 && c.r.ContentLength < leastPiece }
