package playback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"github.com/reelflow/reelflow/video"
)

// TokenLife is how long the addresses of a playback are good for: long enough
// to watch a video with pauses, short enough not to be passed around.
const TokenLife = time.Hour

// Class is the class of people that a token stands for. It names no person. What a
// class may watch is decided anew by each request, see video.Facts: a token is no
// right by itself.
type Class byte

// The classes.
const (
	Anyone   Class = 'a'
	Reviewer Class = 'r' // of a video that waits for its reviewers
	Insider  Class = 'i' // its owner, and operators
)

// ClassOf is the class of somebody who is this to a video.
func ClassOf(roles []video.Role) Class {
	switch {
	case video.Facts{Roles: roles}.Insider():
		return Insider
	case slices.Contains(roles, video.Reviewer):
		return Reviewer
	}
	return Anyone
}

func (c Class) roles() []video.Role {
	switch c {
	case Insider:
		return []video.Role{video.Owner}
	case Reviewer:
		return []video.Role{video.Reviewer}
	}
	return nil
}

// A token is the class, the end as a Unix time, and a MAC over both and the id.
const (
	tokenHead = 1 + 8
	tokenSize = tokenHead + 16
)

// Token is for the addresses of a video, good until a time.
func (s *Server) Token(id video.ID, c Class, until time.Time) string {
	head := binary.BigEndian.AppendUint64([]byte{byte(c)}, uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(head, s.tokenMAC(id, head)...))
}

func (s *Server) tokenMAC(id video.ID, head []byte) []byte {
	h := hmac.New(sha256.New, s.secret)
	for _, part := range [][]byte{[]byte(id), head} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part)))) // keeps the parts apart
		h.Write(part)
	}
	return h.Sum(nil)[:tokenSize-tokenHead]
}

// errForged is about a token that was never given out.
var errForged = video.Errorf(video.Unauthenticated, "This address is not valid. Ask for the playback again.")

// checkToken returns whom a token stands for. It fails with errForged, and with
// Unauthenticated once the token has expired.
func (s *Server) checkToken(id video.ID, token string, now time.Time) (Class, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != tokenSize || !hmac.Equal(raw[tokenHead:], s.tokenMAC(id, raw[:tokenHead])) {
		return 0, errForged
	}
	if now.Before(time.Unix(int64(binary.BigEndian.Uint64(raw[1:])), 0)) {
		return Class(raw[0]), nil
	}
	return 0, video.Errorf(video.Unauthenticated, "This address has expired. Ask for the playback again.")
}
