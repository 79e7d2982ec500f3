/** What an answer is made of. Names are those of the XML; what is undefined is left out. */
export type Xml = string | number | boolean | Date | undefined | readonly Xml[] | XmlObject;
export interface XmlObject {
  readonly [name: string]: Xml;
}

/** @param element what an element of a list is called: `member` at Elastic Load Balancing, `item` at EC2 */
export function writeXml(name: string, value: Xml, element: 'member' | 'item'): string {
  if (value === undefined) return '';
  const inside = writeInside(value, element);
  return inside === '' ? `<${name}/>` : `<${name}>${inside}</${name}>`;
}

/** The inside of an element, without its own tags. */
export function writeInside(value: Xml, element: 'member' | 'item'): string {
  if (value === undefined) return '';
  if (value instanceof Date) return value.toISOString();
  if (isList(value)) return value.map((one) => writeXml(element, one, element)).join('');
  if (typeof value !== 'object') return escapeText(String(value));
  return Object.entries(value)
    .map(([name, one]) => writeXml(name, one, element))
    .join('');
}

function isList(value: Xml): value is readonly Xml[] {
  return Array.isArray(value);
}

function escapeText(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[^\t\n\r\x20-\uFFFD]/g, '?'); // XML 1.0 has no way to write the others
}
