package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// The classes of failed attempts.
const (
	ClassDNS          = "dns"           // the name was not resolved
	ClassConnect      = "connect"       // no connection
	ClassTLS          = "tls"           // the certificate is not trusted, or the handshake failed
	ClassTimeout      = "timeout"       // no response in time
	ClassReset        = "reset"         // the connection broke before the response
	ClassStatus       = "status"        // a response that isn't 2xx
	ClassRedirect     = "redirect"      // a 3xx response, which isn't followed
	ClassGone         = "gone"          // 410, which deactivates the subscription
	ClassEgressDenied = "egress_denied" // the address is one that deliveries may not go to
	ClassOAuth2       = "oauth2"        // no access token: no request was made to the receiver
	ClassHandshake    = "handshake"     // the receiver gave no permission: nothing was sent
	ClassConfig       = "config"        // the delivery can't be signed or addressed
	ClassProtocol     = "protocol"      // the response isn't HTTP, or exceeds the limits
	ClassTransform    = "transform"     // the subscription's transform failed for the event: nothing was sent
	ClassDamaged      = "damaged"       // the store no longer has what was published: nothing was sent
)

// Classes lists all of them.
var Classes = []string{
	ClassDNS, ClassConnect, ClassTLS, ClassTimeout, ClassReset, ClassStatus, ClassRedirect, ClassGone,
	ClassEgressDenied, ClassOAuth2, ClassHandshake, ClassConfig, ClassTransform, ClassProtocol, ClassDamaged,
}

// outcome is the result of an attempt.
type outcome struct {
	class      string        // "" for success
	message    string        // for the subscription's owner: reveals no address
	detail     string        // for the operator's log only; may name addresses
	retryAfter time.Duration // the pause that the receiver asked for, or shortagePause
	final      bool          // a retry can't help
	eventFault bool          // caused by the event; says nothing about the receiver
	overloaded bool          // the receiver asks to be slowed down
	aborted    bool          // by the engine or a shortage: it doesn't count as an attempt

	due   time.Time // when the attempt was due, if it was made ahead of schedule
	round int       // the breaker's aheadRound when it began
}

// early reports whether the attempt was made ahead of schedule.
func (o *outcome) early() bool { return !o.due.IsZero() }

func (o *outcome) ok() bool { return o.class == "" && !o.aborted }

// judge returns the outcome for a response, by its status line and headers. sent is
// when the attempt was made; see retryAfter.
func judge(resp *http.Response, sent time.Time) outcome {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return outcome{}
	}
	o := outcome{class: ClassStatus, message: "the receiver answered " + statusText(code)}
	o.retryAfter = retryAfter(resp.Header, sent)
	switch {
	case code >= 300 && code < 400 && code != http.StatusNotModified:
		o.class = ClassRedirect
		o.message = "redirects are not followed: update the subscription's URL" + redirectTarget(resp)
	case code == http.StatusGone:
		o.class, o.message = ClassGone, ReasonGone
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		o.overloaded = true
	}
	return o
}

// statusText returns a status with its name, such as 404 Not Found, if it has one.
func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// maxHost is the length of the longest host with a port.
const maxHost = 253 + len(":65535")

// redirectTarget names the host of a redirect only, since the rest of the Location
// may contain a secret.
func redirectTarget(resp *http.Response) string {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Host == "" || len(to.Host) > maxHost || to.Scheme != "http" && to.Scheme != "https" {
		return ""
	}
	return " (it pointed to " + to.Scheme + "://" + to.Host + ")"
}

// maxRetryAfter bounds the pause that a receiver may ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter parses the Retry-After header, as seconds or as a date, and returns 0
// if it is neither. A date counts from the response's own Date, so that a
// receiver's clock may be wrong, or from sent if there is none.
func retryAfter(h http.Header, sent time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) { // out of range, n is the nearest int64
		return time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, _ := http.ParseTime(v) // zero, which is long past, if it is no date
	from := sent
	if d, err := http.ParseTime(h.Get("Date")); err == nil {
		from = d
	}
	return min(max(at.Sub(from), 0), maxRetryAfter)
}

// failure returns the outcome for an error that kept a response from coming. Its
// message reveals no address.
func failure(err error) outcome {
	var (
		denied   *egress.DeniedError
		connect  *egress.ConnectError
		dns      *net.DNSError
		cert     *tls.CertificateVerificationError
		name     x509.HostnameError
		record   tls.RecordHeaderError
		op       *net.OpError
		errno    syscall.Errno
		timeout  net.Error
		late     *stepTimeoutError
		network  = errors.As(err, &op)
		dialling = network && op.Op == "dial"
	)
	switch {
	case errors.As(err, &denied):
		return outcome{class: ClassEgressDenied, message: denied.Error(), detail: denied.Detail(), final: true}
	case errors.Is(err, context.Canceled):
		return outcome{aborted: true}
	case shortage(err) != "":
		return outcome{aborted: true, class: ClassConnect, message: shortage(err), detail: err.Error(), retryAfter: shortagePause}
	case errors.As(err, &connect) && connect.Stage == egress.StageProxy:
		o := outcome{class: ClassConnect, message: "the egress proxy made no connection", detail: connect.Err.Error()}
		if connect.Timeout() {
			o.class, o.message = ClassTimeout, o.message+" in time"
		}
		return o
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return outcome{class: ClassDNS, message: "the host name was not found"}
		}
		return outcome{class: ClassDNS, message: "the host name could not be resolved"}
	case errors.As(err, &name):
		return outcome{class: ClassTLS, message: "the certificate is for another host name"}
	case errors.As(err, &cert):
		return outcome{class: ClassTLS, message: "the certificate is not trusted: " + certificateProblem(cert.Err)}
	case errors.As(err, &record):
		return outcome{class: ClassTLS, message: "the receiver does not speak TLS on this port"}
	case network && op.Op == "remote error": // an alert; in TLS 1.3 it may come after the handshake
		return outcome{class: ClassTLS, message: "the receiver refused the TLS connection (" + strings.TrimPrefix(op.Err.Error(), "tls: ") + ")" + clientCertHint(op.Err)}
	case errors.As(err, &late):
		return late.step.timeout()
	case errors.As(err, &timeout) && timeout.Timeout():
		return stepResponse.timeout()
	case dialling:
		words := "no connection"
		if errors.As(err, &errno) {
			words += ": " + errno.Error()
		}
		return outcome{class: ClassConnect, message: words}
	case network, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return outcome{class: ClassReset, message: "the connection broke before the response"}
	}
	return failureByText(err)
}

// failureByText is failure for the errors of net/http that have no type.
func failureByText(err error) outcome {
	switch {
	case mentions(err, "server closed idle connection", "client connection lost", "client conn could not be established"):
		return outcome{class: ClassReset, message: "the connection broke before the response"}
	case unprocessed(err):
		return outcome{class: ClassReset, message: "the receiver closed the connection before it took the request"}
	case mentions(err, "received from peer", "GOAWAY"): // HTTP/2
		return outcome{class: ClassReset, message: "the receiver aborted the request before it answered"}
	case mentions(err, "tls:"):
		return outcome{class: ClassTLS, message: "the TLS handshake failed"}
	case mentions(err, "headers exceeded", "header list larger"):
		return outcome{class: ClassProtocol, message: "the response headers are over 64 KiB"}
	case mentions(err, "transport connection broken", "http2:", "stream error:", "connection error:"):
		return outcome{class: ClassProtocol, message: "the response is not valid HTTP, or its headers are too large"}
	}
	return outcome{class: ClassConfig, message: "the delivery can't be made: " + err.Error()}
}

// mentions reports whether the text of an error contains one of words.
func mentions(err error, words ...string) bool {
	text := err.Error()
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// clientCertHint says what to do about an alert with which a receiver demands a
// client certificate, or rejects the one it got.
func clientCertHint(alert error) string {
	if !mentions(alert, "certificate", "handshake failure", "access denied") {
		return ""
	}
	return ": if it demands a client certificate, set one in the server's configuration: egress { tls_client_auth … }"
}

func certificateProblem(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return "it has expired or is not valid yet"
		case x509.IncompatibleUsage:
			return "it is not for servers: have one issued with the extended key usage serverAuth"
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its issuer is unknown: send the whole chain, or have the server's configuration trust its CA: egress { tls_trust_pool … }"
	}
	return "it did not verify"
}
