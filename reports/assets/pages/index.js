// Overview: what changed and what to do, in sentences, with money.
RETOUR.page("index", [], function (content, data) {
  "use strict";
  var R = RETOUR, h = R.h;

  function reason(mart, otherwise) {
    var row = R.coverage(mart);
    return row && row.status === "complete" ? otherwise : R.why(mart);
  }
  var nothing = {
    changed: reason("return_change", "There is no whole month to compare yet."),
    do: "Nothing needs action. " + reason("alerts", "No alert is open, and no seller stands out."),
    money: reason("refund_liability", "No refund is still to come."),
    trust: "Nothing can be said about this source.",
  };
  function statements(section, title, sub, span, height) {
    var rows = data.statements.where({ section: section });
    R.card(content, { title: title, sub: sub, span: span, rows: height, sql: ["statements"],
      empty: rows.length ? null : nothing[section],
      table: { rows: rows, columns: [
        { key: "headline", label: "Headline" }, { key: "sentence", label: "Sentence", long: true },
        { key: "amount", label: "Money", number: true, format: function (value, row) {
          return R.money(value, row.currency); } }] },
      note: section === "do" && rows.length ? "Order: open alerts, sellers by how sure their excess is (at most three; the others are on the"
        + " page Sellers), then what is only probable, then orders. Right: the money at stake." : null,
      body: function (card) {
        card.appendChild(h("ul", { class: "statements" }, rows.map(function (row) {
          var page = R.hasPage(row.page) ? row.page : null;
          var filter = { seller: "s", category: "c" }[row.entity_type];
          var changes = {};
          if (filter) changes[filter] = R.valueOf(row.entity_id);
          return h("li", { class: "statement " + row.severity },
            h("p", { class: "head" },
              page ? R.link(R.cut(row.headline, 120), changes, page) : R.cut(row.headline, 120),
              section === "do" && row.amount ? h("span", { class: "money" },
                R.money(row.amount, row.currency)) : null),
            h("p", { class: "body" }, R.cut(row.sentence, 700)));
        })));
      } });
  }

  statements("changed", "What changed", null, 6);
  statements("do", "What to do", "the surest first", 6, 2);
  statements("money", "What it is worth", null, 6);

  // the last whole month beside the one before
  var kpis = data.kpis.list().filter(function (row) { return row.is_complete; });
  var rates = data.months_all.list().filter(function (row) { return row.is_complete; });
  var now = kpis[kpis.length - 1], before = kpis[kpis.length - 2];
  var rate = rates[rates.length - 1], rateBefore = rates[rates.length - 2];
  if (now) {
    var month = R.month(now.month);
    var against = before ? "vs " + R.month(before.month) : "";
    R.figures(content, [
      figure("Sold in " + month, "gross_revenue", "gross_revenue", R.shortMoney, "up"),
      figure("Orders", "orders", "orders", R.int, "up"),
      figure("Average order", "aov", "aov", R.money, "up"),
      { label: "Return rate, projected", metric: "projected_return_rate",
        help: "Of the lines sold in " + month + ", adjusted for returns still to come.",
        value: R.pct(rate && rate.projected_rate), key: "projected_rate",
        raw: rate && rate.projected_rate,
        delta: rate && rateBefore && rate.projected_rate !== null && rateBefore.projected_rate !== null
          ? R.delta(rate.projected_rate - rateBefore.projected_rate,
            R.num(100 * Math.abs(rate.projected_rate - rateBefore.projected_rate), 1) + " points", "down",
            against, rateBefore.projected_rate < rate.projected_lo
              || rateBefore.projected_rate > rate.projected_hi) : null,
        note: rate && rate.projected_lo !== null ? R.limit("interval_confidence_percent")
          + " % interval " + R.pct(rate.projected_lo) + " to " + R.pct(rate.projected_hi)
          : R.why("return_rates") },
      { label: "Kept so far", metric: "net_revenue", value: R.shortMoney(now.net_revenue, now.currency),
        key: "net_revenue", raw: now.net_revenue,
        note: rate && rate.maturity !== null ? R.pct(rate.maturity, 0) + " of the returns have come" : null },
    ]);
  }
  function figure(label, key, metric, format, better) {
    var change = before && before[key] ? now[key] / before[key] - 1 : null;
    return { label: label, metric: metric, value: format(now[key], format === R.int ? null : now.currency),
      key: key, raw: now[key],
      delta: R.delta(change, R.num(100 * Math.abs(change), 1) + " %", better, against) };
  }

  R.monthlyRate(content, data.months_all.list(), { span: 7, height: 320, sql: ["months_all"] });

  // what moved the returned money
  var drivers = ["volume", "mix", "rate", "timing"];
  function period(text) { return R.label(text, 40).replace(/ (\d{4})$/, "<br>$1"); }
  var change = data.change.list();
  var totals = drivers.map(function (driver) {
    var rows = data.change.where({ driver: driver });
    return { driver: driver, contribution: rows.reduce(function (sum, row) {
      return sum + row.contribution; }, 0), currency: rows.length ? rows[0].currency : "" };
  });
  var first = change[0];
  R.card(content, {
    title: "What moved the returned money", sql: ["change"], span: 5, height: 290,
    sub: first ? first.current_period + " against " + first.base_period : null,
    empty: first ? null : R.why("return_change"),
    summary: first ? "Returned money went from " + R.money(first.base_value, first.currency) + " to "
      + R.money(first.current_value, first.currency) + ": " + totals.map(function (row) {
      return row.driver + " " + R.money(row.contribution, row.currency); }).join(", ") + "." : null,
    table: { rows: change, columns: [
      { key: "driver", label: "Driver" }, { key: "member", label: "Category" },
      { key: "contribution", label: "Change", number: true, format: function (value, row) {
        return R.money(value, row.currency); } },
      { key: "sentence", label: "In words", long: true }] },
    chart: function (element) {
      R.plot(element, function () {
        var labels = [period(first.base_period)].concat(totals.map(function (row) {
          return row.driver; }), [period(first.current_period)]);
        var running = first.base_value;
        var bases = [0], heights = [first.base_value], colours = [R.colour("quiet")];
        totals.forEach(function (row) {
          bases.push(Math.min(running, running + row.contribution));
          heights.push(Math.abs(row.contribution));
          colours.push(row.driver === "rate" || row.driver === "mix"
            ? R.colour(row.contribution > 0 ? "bad" : "good") : R.colour("accent"));
          running += row.contribution;
        });
        bases.push(0); heights.push(first.current_value); colours.push(R.colour("quiet"));
        var tops = bases.map(function (base, i) { return base + heights[i]; });
        var floors = bases.slice(1, -1).concat([first.base_value, first.current_value]);
        var low = Math.min.apply(null, floors), high = Math.max.apply(null, tops);
        return [{ type: "bar", x: labels, base: bases, y: heights, marker: { color: colours },
          text: heights.map(function (height, i) {
            if (i === 0 || i === heights.length - 1) return R.money(height);
            return (totals[i - 1].contribution > 0 ? "+" : "−") + R.money(height); }),
          textposition: "outside", cliponaxis: false, hoverinfo: "none",
          low: low, high: high }];
      }, function () {
        var values = [first.base_value];
        totals.forEach(function (row) { values.push(values[values.length - 1] + row.contribution); });
        var low = Math.min.apply(null, values), high = Math.max.apply(null, values);
        var room = (high - low) || Math.abs(high) || 1;
        return { margin: { l: 8, r: 8, t: 24, b: 8 }, bargap: 0.35, xaxis: { type: "category", tickangle: 0 },
          yaxis: { range: [Math.max(0, low - 0.8 * room), high + 0.25 * room], tickformat: ",.0f" } };
      });
    },
    note: first ? "Volume: more or less was sold. Mix: other goods were. Rate: more or less of them comes back. "
      + "Timing: returns of earlier sales. The axis does not begin at zero." : null,
  });

  // cost by category
  var since = data.months_all.rows ? data.months_all.list()[0].month : null;
  var costs = data.costs.list().filter(function (row) { return row.return_cost_mid > 0; }).slice(0, 12);
  R.card(content, {
    title: "What returns cost, by category", metric: "return_cost", span: 7,
    sub: "beside the refunds; of all sales in the data" + (since ? ", " + R.month(since) + " to "
      + R.month(R.source.as_of_date) : ""), sql: ["costs"],
    empty: costs.length ? null : R.why("return_costs"), height: 90 + 28 * costs.length,
    summary: costs.length ? "Returns cost most in " + costs[0].category + ": "
      + R.money(costs[0].return_cost_mid, costs[0].currency) + "." : null,
    table: { rows: data.costs.list(), columns: [
      { key: "category", label: "Category" },
      { key: "returned_lines", label: "Returned lines", number: true, format: R.int },
      { key: "return_cost_mid", label: "Cost", number: true, format: R.money },
      { key: "return_cost_low", label: "from", number: true, format: R.money },
      { key: "return_cost_high", label: "to", number: true, format: R.money },
      { key: "cost_per_returned_line", label: "Per returned line", number: true, format: R.money },
      { key: "return_cost_share", label: "Share of sales", number: true, format: R.pct },
      { key: "net_margin_after_returns", label: "Margin after returns", number: true, format: R.money }] },
    note: costs.length ? "Lines: from the lowest to the highest cost rates that are assumed."
      + (costs.some(function (row) { return row.category === "unknown"; }) ? " Unknown: the source names no category of these goods." : "") : null,
    chart: function (element) {
      R.plot(element, function () {
        return [{ type: "bar", orientation: "h", y: costs.map(function (row) { return R.label(row.category); }),
          x: costs.map(function (row) { return row.return_cost_mid; }),
          marker: { color: R.colour("accent") },
          error_x: R.interval(costs, "return_cost_mid", "return_cost_low", "return_cost_high"),
          customdata: costs.map(function (row) { return [R.pct(row.return_cost_share)]; }),
          hovertemplate: "%{y}: %{x:,.0f} " + R.label(costs[0].currency)
            + ", %{customdata[0]} of sales<extra></extra>" }];
      }, { yaxis: { autorange: "reversed", type: "category" },
        xaxis: { tickformat: ",.0f", rangemode: "tozero", title: { text: costs.length ? R.label(costs[0].currency) : "" } } });
    },
  });

  statements("trust", "What can be trusted", null, 5);
});
