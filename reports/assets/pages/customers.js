// Customers and segments: who buys, who sends back, who is leaving, what they are worth.
RETOUR.page("customers", [], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;
  var segments = data.segments.list();
  var churn = data.churn.list();
  var currency = segments.length ? segments[0].currency : "";
  function sum(rows, key) { return rows.reduce(function (total, row) { return total + (row[key] || 0); }, 0); }
  function row(rows, match) { return rows.filter(match)[0] || {}; }

  if (segments.length) {
    var inactive = row(segments, function (r) { return r.segment_name === "Churned/Inactive"; });
    var returners = row(segments, function (r) { return r.segment_name === "High Returners"; });
    var advice = data.segment_advice.list();
    R.figures(content, [
      { label: "Customers", key: "customers", raw: sum(segments, "customers"), value: R.int(sum(segments, "customers")),
        help: "Known customers of the look-back; guests cannot be followed." },
      { label: "Kept after returns", metric: "net_revenue", key: "net_revenue", raw: sum(segments, "net_revenue"),
        value: R.shortMoney(sum(segments, "net_revenue"), currency) },
      { label: "Churned/Inactive", key: "inactive", raw: inactive.customers || 0, value: R.int(inactive.customers || 0),
        note: R.pct(inactive.customer_share) + " of the customers" },
      { label: "At risk of leaving", key: "at_risk", raw: sum(advice, "at_risk"), value: R.int(sum(advice, "at_risk")),
        help: "Active customers whose churn probability is high.",
        note: "kept so far: " + R.money(sum(advice, "kept_amount_at_risk"), currency) },
      { label: "High Returners", key: "high_returners", raw: returners.customers || 0,
        value: R.int(returners.customers || 0),
        note: R.pct(returners.customer_share) + " of the customers, " + R.pct(returners.return_cost_share)
          + " of the cost of returns" },
    ]);
  }

  var bars = [["customer_share", "customers", "quiet"], ["net_revenue_share", "kept money", "accent"],
    ["return_cost_share", "cost of returns", "second"]];
  R.card(content, { title: "Segments", sub: "share of customers, of what was kept, of the cost of returns", span: 7,
    sql: ["segments"], height: 330, empty: segments.length ? null : R.why("segment_profiles"),
    summary: "Segments: " + segments.map(function (r) { return r.segment_name + " " + R.pct(r.customer_share)
      + " of customers, " + R.pct(r.net_revenue_share) + " of kept money, " + R.pct(r.return_cost_share)
      + " of the cost of returns"; }).join("; ") + ".",
    table: { rows: segments, columns: [
      { key: "segment_name", label: "Segment" },
      { key: "customers", label: "Customers", number: true, format: R.int },
      { key: "orders", label: "Orders", number: true, format: R.int },
      { key: "gross_revenue", label: "Bought", number: true, format: R.money },
      { key: "net_revenue", label: "Kept", number: true, format: R.money },
      { key: "aov", label: "Average order", number: true, format: R.money },
      { key: "return_rate", label: "Units returned so far", number: true, format: R.pct },
      { key: "return_cost", label: "Cost of returns", number: true, format: R.money },
      { key: "net_margin_after_returns", label: "Margin after returns", number: true, format: R.money }] },
    chart: function (element) {
      R.plot(element, function () {
        return bars.map(function (bar) {
          return { type: "bar", name: bar[1], x: segments.map(function (r) { return R.label(r.segment_name, 22).replace("/", "/<br>").replace(" ", "<br>"); }),
            y: segments.map(function (r) { return R.percent(r[bar[0]]); }), marker: { color: R.colour(bar[2]) },
            hovertemplate: "%{y:.1f} % of " + bar[1] + "<extra></extra>" };
        });
      }, function () {
        return { showlegend: true, hovermode: "x unified", yaxis: { ticksuffix: " %", rangemode: "tozero", nticks: 6 },
          xaxis: { type: "category", tickangle: R.isNarrow() ? -60 : 0, showgrid: false } };
      });
    } });

  R.card(content, { title: "What to do with each", span: 5, sql: ["segment_advice"],
    empty: data.segment_advice.rows ? null : R.why("customer_segments_business"),
    table: { rows: data.segment_advice.list(), columns: [
      { key: "segment", label: "Segment" }, { key: "customers", label: "Customers", number: true, format: R.int },
      { key: "at_risk", label: "At risk", number: true, format: R.int },
      { key: "kept_amount_at_risk", label: "They kept", number: true, format: R.money },
      { key: "meaning", label: "Meaning", long: true }, { key: "suggested_action", label: "Do", long: true }] },
    body: function (card) {
      card.appendChild(h("ul", { class: "statements" }, data.segment_advice.list().map(function (r) {
        return h("li", { class: "statement " + (r.at_risk ? "watch" : "info") },
          h("p", { class: "head" }, R.cut(r.segment, 60), h("span", { class: "money" }, R.plural(r.customers, "customer"))),
          h("p", { class: "body" }, R.plain(r.suggested_action) + ". " + R.plain(r.meaning) + "."
            + (r.at_risk ? " " + R.int(r.at_risk) + " of them are at risk; they kept "
              + R.money(r.kept_amount_at_risk, r.currency) + "." : "")));
      })));
    } });

  // where customers went since the month before
  var moves = data.migrations.list();
  var from = [], to = [];
  moves.forEach(function (r) {
    if (from.indexOf(r.from_segment) < 0) from.push(r.from_segment);
    if (to.indexOf(r.to_segment) < 0) to.push(r.to_segment);
  });
  to.sort();
  R.card(content, { title: "From segment to segment",
    sub: moves.length ? R.day(moves[0].previously_known_on) + " to " + R.day(moves[0].known_on) : null, span: 7,
    sql: ["migrations"], empty: moves.length ? null : R.why("segment_migrations"),
    table: { rows: moves, columns: [{ key: "from_segment", label: "From" }, { key: "to_segment", label: "To" },
      { key: "customers", label: "Customers", number: true, format: R.int },
      { key: "share", label: "Share", number: true, format: R.pct }] },
    body: function (card) {
      card.appendChild(R.heat("From segment to segment", "From", from.map(function (f) {
        return { name: f, size: row(moves, function (r) { return r.from_segment === f; }).from_customers,
          cells: to.map(function (t) {
            var cell = row(moves, function (r) { return r.from_segment === f && r.to_segment === t; });
            return { value: cell.share || 0, text: cell.customers ? R.pct(cell.share, cell.share < 0.1 ? 1 : 0) : "",
              title: R.plural(cell.customers || 0, "customer") };
          }) };
      }), to, "Customers")).classList.add("tall");
    },
    note: moves.length ? "Each row adds up to 100 %: where the customers of a segment are a month later." : null });

  var groups = data.groups.list();
  R.card(content, { title: "Groups by recency, frequency and money", span: 5, sql: ["groups"],
    sub: "kept money", empty: groups.length ? null : R.why("revenue_by_customer_group"), height: 70 + 32 * groups.length,
    summary: groups.length ? "Kept money: " + groups.map(function (r) { return r.customer_group + " "
      + R.money(r.net_revenue, r.currency); }).join(", ") + "." : null,
    table: { rows: groups, columns: [{ key: "customer_group", label: "Group" },
      { key: "customers", label: "Customers", number: true, format: R.int },
      { key: "orders", label: "Orders", number: true, format: R.int },
      { key: "net_revenue", label: "Kept", number: true, format: R.money },
      { key: "revenue_share", label: "Share", number: true, format: R.pct },
      { key: "aov", label: "Average order", number: true, format: R.money },
      { key: "return_rate", label: "Units returned so far", number: true, format: R.pct }] },
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "bar", orientation: "h", y: groups.map(function (r) { return R.label(r.customer_group, 18); }),
          x: groups.map(function (r) { return r.net_revenue; }), marker: { color: R.colour("accent") },
          text: groups.map(function (r) { return R.pct(r.revenue_share, 0); }), textposition: "auto",
          customdata: groups.map(function (r) { return [R.money(r.net_revenue, r.currency), R.pct(r.return_rate)]; }),
          hovertemplate: "%{customdata[0]}, %{customdata[1]} of the units returned so far<extra></extra>" }];
      }, { yaxis: { autorange: "reversed", type: "category" }, xaxis: { tickformat: "~s", rangemode: "tozero",
        title: { text: R.label(groups.length ? groups[0].currency : "") } } });
    } });

  R.card(content, { title: "Who is leaving, and what they are worth", span: 7, sql: ["churn"],
    sub: churn.length ? "in the next " + R.int(churn[0].horizon_days) + " days; value over "
      + R.int(churn[0].horizon_months) + " months" : null,
    empty: churn.length ? null : R.why("customer_churn"),
    table: { rows: churn, columns: churnColumns() },
    body: function (card) { card.appendChild(R.table(churnColumns(), churn, { caption: "Churn and value" })); },
    note: "Customers who bought in the last year: fewer than in the segments, which look back further. Value: margin expected of the customers of a segment, as if nothing came back and as things come back." });
  function churnColumns() {
    return [{ key: "segment_name", label: "Segment" },
      { key: "customers", label: "Customers", number: true, format: R.int },
      { key: "active_customers", label: "Active", number: true, format: R.int },
      { key: "active_churn_probability", label: "Active that leave", number: true, format: R.pct },
      { key: "at_risk", label: "At risk", number: true, format: R.int },
      { key: "clv_before_returns", label: "Value without returns", number: true, format: function (v, r) { return R.money(v, r.currency); } },
      { key: "clv_after_returns", label: "Value with returns", number: true, format: function (v, r) { return R.money(v, r.currency); } }];
  }

  var returners2 = data.returner_countries.list();
  R.card(content, { title: "High returners by country", sub: "share of the customers", span: 5,
    sql: ["returner_countries"], height: 60 + 22 * returners2.length,
    empty: returners2.length ? null : R.why("high_returners_by_country"),
    summary: returners2.length ? "Most high returners: " + returners2.slice(0, 3).map(function (r) {
      return r.country + " " + R.pct(r.high_returner_share); }).join(", ") + "; everywhere "
      + R.pct(returners2[0].source_share) + "." : null,
    table: { rows: returners2, columns: [{ key: "country", label: "Country" },
      { key: "customers", label: "Customers", number: true, format: R.int },
      { key: "high_returners", label: "High returners", number: true, format: R.int },
      { key: "high_returner_share", label: "Share", number: true, format: R.pct },
      { key: "share_lo", label: "from", number: true, format: R.pct },
      { key: "share_hi", label: "to", number: true, format: R.pct },
      { key: "evidence", label: "Evidence" }] },
    note: "Lines: interval of the share. Dotted: all countries. Grey: no different from elsewhere.",
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "scatter", mode: "markers", y: returners2.map(function (r) { return R.label(r.country, 16); }),
          x: returners2.map(function (r) { return R.percent(r.high_returner_share); }),
          error_x: Object.assign(R.interval(returners2, "high_returner_share", "share_lo", "share_hi", 100),
            { width: 0, thickness: 2, color: R.colour("muted") }),
          marker: { size: 9, color: returners2.map(function (r) {
            return R.colour(r.evidence === "more than elsewhere" ? "bad" : r.evidence === "fewer than elsewhere"
              ? "good" : "quiet"); }) },
          customdata: returners2.map(function (r) { return [R.int(r.high_returners), R.int(r.customers), r.evidence]; }),
          hovertemplate: "%{x:.1f} %, %{customdata[0]} of %{customdata[1]}<br>%{customdata[2]}<extra></extra>" }];
      }, function () {
        var all = 100 * returners2[0].source_share;
        return { yaxis: { autorange: "reversed", type: "category" }, xaxis: { ticksuffix: " %", rangemode: "tozero" },
          shapes: [{ type: "line", yref: "paper", y0: 0, y1: 1, x0: all, x1: all,
            line: { color: R.colour("text"), width: 1.2, dash: "dot" } }] };
      });
    } });
});
