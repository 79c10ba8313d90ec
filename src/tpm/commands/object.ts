// Part 3, chapter 12: objects - making, loading, reading, credentials, unsealing, changing the authorization.

import { EMPTY, equalBytes } from '../../base/bytes.ts';
import { hashSize } from '../algorithms.ts';
import { rsaPrivateOf, secretDecrypt, secretEncrypt } from '../asymmetric.ts';
import { admin, command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import {
  type Created,
  createObject,
  creationData,
  derivationSource,
  primarySource,
  type RandomSource,
  randomSource,
} from '../create.ts';
import type { TpmCursor } from '../cursor.ts';
import { hierarchyEnabled, keyAt } from '../entity.ts';
import { Unmarshaller, unmarshal } from '../marshal.ts';
import {
  adjustedAuth,
  createChecks,
  freeSlot,
  isAsymmetric,
  isDerivationParent,
  isParent,
  loadedObject,
  publicAttributesValidation,
  publicName,
  putObject,
  qualifiedName,
  qualifiedNameOf,
  schemeChecks,
  validateKeys,
} from '../object.ts';
import {
  credentialToSecret,
  privateToSensitive,
  secretToCredential,
  sensitiveToPrivate,
} from '../protection.ts';
import * as rc from '../rc.ts';
import type { TpmObject } from '../state.ts';
import {
  Tpm2bAuth,
  Tpm2bData,
  Tpm2bDigest,
  Tpm2bEncryptedSecret,
  Tpm2bName,
  Tpm2bSensitiveData,
  TpmiDhObject,
  TpmiDhParent,
  TpmiRhHierarchy,
  TpmlPcrSelection,
} from '../structures.ts';
import { Tpm2bCreationData, TpmtTkCreation } from '../structures-attest.ts';
import {
  readDerivationTemplate,
  Tpm2bIdObject,
  Tpm2bPrivate,
  Tpm2bPublic,
  Tpm2bPublicNull,
  Tpm2bSensitive,
  Tpm2bSensitiveCreate,
  Tpm2bTemplate,
  TpmsDerive,
  type TpmtPublic,
  type TpmtSensitive,
  TpmtTemplate,
} from '../structures-object.ts';
import { creationTicket } from '../tickets.ts';

const IV_SIZE = 16;
const attribute = (o: TpmObject, bit: number): boolean => (o.public.objectAttributes & bit) !== 0;

/** @tcg Part 3, 12.1 TPM2_Create */
export const create = command({
  code: 0x153,
  name: 'Create',
  handles: { parentHandle: user(TpmiDhObject) },
  parameters: {
    inSensitive: Tpm2bSensitiveCreate,
    inPublic: Tpm2bPublic,
    outsideInfo: Tpm2bData,
    creationPCR: TpmlPcrSelection,
  },
  response: {
    outPrivate: Tpm2bPrivate,
    outPublic: Tpm2bPublic,
    creationData: Tpm2bCreationData,
    creationHash: Tpm2bDigest,
    creationTicket: TpmtTkCreation,
  },
  run(tpm, { parentHandle, inSensitive, inPublic, outsideInfo, creationPCR }, { locality }) {
    const parent = keyAt(tpm, parentHandle);
    if (parent === undefined || !isParent(parent)) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    if (freeSlot(tpm) === null) return rc.TPM_RC_OBJECT_MEMORY;
    const checked = createChecks(parent, inPublic, inSensitive.data.length);
    if (checked !== 0) return rc.rcParameter(2, checked);
    const userAuth = adjustedAuth(inSensitive.userAuth, inPublic.nameAlg);
    if (userAuth === null) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const made = createObject(inPublic, { ...inSensitive, userAuth }, randomSource(tpm));
    if (typeof made === 'number') return made;
    const alg = inPublic.nameAlg;
    const record = creationData(tpm, parent, parent.name, alg, creationPCR, outsideInfo, locality);
    const name = publicName(made.public);
    return {
      outPrivate: sensitiveToPrivate(parent, name, alg, made.sensitive, tpm.random(IV_SIZE)),
      outPublic: made.public,
      ...record,
      creationTicket: creationTicket(tpm, parent.hierarchy, name, record.creationHash),
    };
  },
});

/** Checks a public and a sensitive area that come in together; a response code or 0. */
function loadChecks(
  parent: TpmObject | null,
  area: TpmtPublic,
  sensitive: TpmtSensitive | null,
  publicParameter: number,
  privateParameter: number,
): number {
  const blamePublic = (code: number): number => rc.rcParameter(publicParameter, code);
  const blameSensitive = (code: number): number => rc.rcParameter(privateParameter, code);
  let refused: number;
  if (sensitive === null || area.nameAlg === c.TPM_ALG_NULL) refused = schemeChecks(null, area);
  else {
    if (sensitive.seedValue.length > hashSize(area.nameAlg)) return blameSensitive(rc.TPM_RC_KEY_SIZE);
    refused = publicAttributesValidation(parent, area);
  }
  if (refused !== 0) return blamePublic(refused);
  if (parent === null || !attribute(parent, c.TPMA_OBJECT_FIXEDTPM)) {
    const bad = validateKeys(area, sensitive, blamePublic, blameSensitive);
    if (bad !== 0) return bad;
  }
  if (area.type === c.TPM_ALG_RSA && sensitive !== null && rsaPrivateOf(area, sensitive) === null) {
    return rc.TPM_RC_BINDING;
  }
  return 0;
}

/** As TPM2_Load would check what TPM2_Import brings under a parent with fixedTPM. */
export function importChecks(area: TpmtPublic, sensitive: TpmtSensitive): number {
  return loadChecks(null, area, sensitive, 2, 3);
}

/** @tcg Part 3, 12.2 TPM2_Load */
export const load = command({
  code: 0x157,
  name: 'Load',
  handles: { parentHandle: user(TpmiDhObject) },
  parameters: { inPrivate: Tpm2bPrivate, inPublic: Tpm2bPublic },
  responseHandle: true,
  response: { name: Tpm2bName },
  run(tpm, { parentHandle, inPrivate, inPublic }) {
    const handle = freeSlot(tpm);
    if (handle === null) return rc.TPM_RC_OBJECT_MEMORY;
    if (inPrivate.length === 0) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const parent = keyAt(tpm, parentHandle);
    if (parent === undefined || !isParent(parent)) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    const sensitive = privateToSensitive(parent, publicName(inPublic), inPrivate);
    if (typeof sensitive === 'number') return rc.rcParameter(1, sensitive);
    const refused = loadChecks(parent, inPublic, sensitive, 2, 1);
    if (refused !== 0) return refused;
    const object = loadedObject(tpm, parentHandle, inPublic, sensitive);
    putObject(tpm, handle, object);
    return { handle, name: object.name };
  },
});

/** @tcg Part 3, 12.3 TPM2_LoadExternal */
export const loadExternal = command({
  code: 0x167,
  name: 'LoadExternal',
  handles: {},
  parameters: { inPrivate: Tpm2bSensitive, inPublic: Tpm2bPublicNull, hierarchy: TpmiRhHierarchy },
  responseHandle: true,
  response: { name: Tpm2bName },
  run(tpm, { inPrivate, inPublic, hierarchy }) {
    const handle = freeSlot(tpm);
    if (handle === null) return rc.TPM_RC_OBJECT_MEMORY;
    if (!hierarchyEnabled(tpm, hierarchy)) return rc.rcParameter(3, rc.TPM_RC_HIERARCHY);
    if (inPrivate !== null) {
      if (hierarchy !== c.TPM_RH_NULL) return rc.rcParameter(3, rc.TPM_RC_HIERARCHY);
      const forbidden = c.TPMA_OBJECT_FIXEDTPM | c.TPMA_OBJECT_FIXEDPARENT | c.TPMA_OBJECT_RESTRICTED;
      if ((inPublic.objectAttributes & forbidden) !== 0) return rc.rcParameter(2, rc.TPM_RC_ATTRIBUTES);
    }
    const refused = loadChecks(null, inPublic, inPrivate, 2, 1);
    if (refused !== 0) return refused;
    const object = loadedObject(tpm, hierarchy, inPublic, inPrivate, true);
    putObject(tpm, handle, object);
    return { handle, name: object.name };
  },
});

/** @tcg Part 3, 12.4 TPM2_ReadPublic */
export const readPublic = command({
  code: 0x173,
  name: 'ReadPublic',
  handles: { objectHandle: reference(TpmiDhObject) },
  parameters: {},
  response: { outPublic: Tpm2bPublicNull, name: Tpm2bName, qualifiedName: Tpm2bName },
  run(tpm, { objectHandle }) {
    const object = keyAt(tpm, objectHandle);
    if (object === undefined) return rc.TPM_RC_SEQUENCE;
    return { outPublic: object.public, name: object.name, qualifiedName: object.qualifiedName };
  },
});

/** An asymmetric storage key: credentials can be protected for it. */
function protectsCredentials(object: TpmObject | undefined): object is TpmObject {
  return (
    object !== undefined &&
    isAsymmetric(object.public) &&
    attribute(object, c.TPMA_OBJECT_DECRYPT) &&
    attribute(object, c.TPMA_OBJECT_RESTRICTED)
  );
}

/** @tcg Part 3, 12.5 TPM2_ActivateCredential */
export const activateCredential = command({
  code: 0x147,
  name: 'ActivateCredential',
  handles: { activateHandle: admin(TpmiDhObject), keyHandle: user(TpmiDhObject) },
  parameters: { credentialBlob: Tpm2bIdObject, secret: Tpm2bEncryptedSecret },
  response: { certInfo: Tpm2bDigest },
  run(tpm, { activateHandle, keyHandle, credentialBlob, secret }) {
    const key = keyAt(tpm, keyHandle);
    if (!protectsCredentials(key)) return rc.rcHandle(2, rc.TPM_RC_TYPE);
    const seed = secretDecrypt(key, 'IDENTITY', secret);
    if (typeof seed === 'number') return rc.rcParameter(2, seed);
    const name = keyAt(tpm, activateHandle)?.name ?? EMPTY;
    const certInfo = credentialToSecret(key.public, seed, name, credentialBlob);
    return typeof certInfo === 'number' ? rc.rcParameter(1, certInfo) : { certInfo };
  },
});

/** @tcg Part 3, 12.6 TPM2_MakeCredential */
export const makeCredential = command({
  code: 0x168,
  name: 'MakeCredential',
  handles: { handle: reference(TpmiDhObject) },
  parameters: { credential: Tpm2bDigest, objectName: Tpm2bName },
  response: { credentialBlob: Tpm2bIdObject, secret: Tpm2bEncryptedSecret },
  run(tpm, { handle, credential, objectName }) {
    const key = keyAt(tpm, handle);
    if (!protectsCredentials(key)) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    if (credential.length > hashSize(key.public.nameAlg)) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const exchange = secretEncrypt(key, 'IDENTITY', (n) => tpm.random(n));
    if (typeof exchange === 'number') return exchange;
    const credentialBlob = secretToCredential(key.public, exchange.data, objectName, credential);
    return { credentialBlob, secret: exchange.secret };
  },
});

/** @tcg Part 3, 12.7 TPM2_Unseal */
export const unseal = command({
  code: 0x15e,
  name: 'Unseal',
  handles: { itemHandle: user(TpmiDhObject) },
  parameters: {},
  response: { outData: Tpm2bSensitiveData },
  run(tpm, { itemHandle }) {
    const object = keyAt(tpm, itemHandle);
    if (object?.public.type !== c.TPM_ALG_KEYEDHASH) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    const forbidden = c.TPMA_OBJECT_DECRYPT | c.TPMA_OBJECT_SIGN_ENCRYPT | c.TPMA_OBJECT_RESTRICTED;
    if (attribute(object, forbidden)) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    return { outData: object.sensitive?.sensitive ?? EMPTY };
  },
});

/** @tcg Part 3, 12.8 TPM2_ObjectChangeAuth */
export const objectChangeAuth = command({
  code: 0x150,
  name: 'ObjectChangeAuth',
  handles: { objectHandle: admin(TpmiDhObject), parentHandle: reference(TpmiDhObject) },
  parameters: { newAuth: Tpm2bAuth },
  response: { outPrivate: Tpm2bPrivate },
  run(tpm, { objectHandle, parentHandle, newAuth }) {
    const object = keyAt(tpm, objectHandle);
    if (object === undefined || object.sensitive === null) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    const { nameAlg } = object.public;
    const authValue = adjustedAuth(newAuth, nameAlg);
    if (authValue === null) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const parent = keyAt(tpm, parentHandle);
    const expected = qualifiedName(qualifiedNameOf(tpm, parentHandle), nameAlg, object.name);
    const inNoTree = nameAlg === c.TPM_ALG_NULL;
    if (parent === undefined || inNoTree || !equalBytes(expected, object.qualifiedName)) {
      return rc.rcHandle(2, rc.TPM_RC_TYPE);
    }
    const sensitive = { ...object.sensitive, authValue };
    const iv = tpm.random(IV_SIZE);
    return { outPrivate: sensitiveToPrivate(parent, object.name, nameAlg, sensitive, iv) };
  },
});

interface Template {
  readonly area: TpmtPublic;
  readonly derive: TpmsDerive | null;
}

function readTemplate(bytes: Uint8Array, derivation: boolean): Template | number {
  const r = new Unmarshaller(bytes);
  let template: Template;
  if (derivation) {
    const read = readDerivationTemplate(r);
    template = { area: read.template, derive: read.derive };
  } else {
    template = { area: TpmtTemplate.read(r), derive: null };
  }
  if (r.rc !== 0) return r.rc;
  return r.remaining === 0 ? template : rc.TPM_RC_SIZE;
}

/** Label and context of a derivation: the template's, else those in the sensitive data. */
function deriveOf(inTemplate: TpmsDerive, data: Uint8Array): TpmsDerive | number {
  if (data.length === 0) return inTemplate;
  const read = unmarshal(TpmsDerive, data);
  if (read.value === null) return read.rc;
  return {
    label: inTemplate.label.length === 0 ? read.value.label : inTemplate.label,
    context: inTemplate.context.length === 0 ? read.value.context : inTemplate.context,
  };
}

/** Makes the object of TPM2_CreateLoaded, or says why not. */
function createAny(
  tpm: TpmCursor,
  parentHandle: number,
  parent: TpmObject | null,
  template: Template,
  sensitive: { readonly userAuth: Uint8Array; readonly data: Uint8Array },
): Created | number {
  const { area, derive } = template;
  let random: RandomSource;
  let { data } = sensitive;
  if (derive !== null && parent !== null) {
    if ((area.objectAttributes & c.TPMA_OBJECT_SENSITIVEDATAORIGIN) !== 0) return rc.TPM_RC_ATTRIBUTES;
    const refused = publicAttributesValidation(parent, area);
    if (refused !== 0) return rc.rcParameter(2, refused);
    const labels = deriveOf(derive, data);
    if (typeof labels === 'number') return labels;
    random = derivationSource(parent, labels);
    data = EMPTY;
  } else {
    const refused = createChecks(parent, area, data.length);
    if (refused !== 0) return rc.rcParameter(2, refused);
    random = parent === null ? primarySource(tpm, parentHandle, area, data) : randomSource(tpm);
  }
  return createObject(area, { userAuth: sensitive.userAuth, data }, random);
}

/** @tcg Part 3, 12.9 TPM2_CreateLoaded */
export const createLoaded = command({
  code: 0x191,
  name: 'CreateLoaded',
  handles: { parentHandle: user(TpmiDhParent) },
  parameters: { inSensitive: Tpm2bSensitiveCreate, inPublic: Tpm2bTemplate },
  responseHandle: true,
  response: { outPrivate: Tpm2bPrivate, outPublic: Tpm2bPublic, name: Tpm2bName },
  pp: 'command',
  run(tpm, { parentHandle, inSensitive, inPublic }) {
    const isHandle = c.handleType(parentHandle) !== c.TPM_HT_PERMANENT;
    const parent = isHandle ? (keyAt(tpm, parentHandle) ?? null) : null;
    const derivation = parent !== null && isDerivationParent(parent);
    if (isHandle && (parent === null || (!isParent(parent) && !derivation))) {
      return rc.rcHandle(1, rc.TPM_RC_TYPE);
    }
    const handle = freeSlot(tpm);
    if (handle === null) return rc.TPM_RC_OBJECT_MEMORY;
    const template = readTemplate(inPublic, derivation);
    if (typeof template === 'number') return rc.rcParameter(2, template);
    const { nameAlg } = template.area;
    const userAuth = adjustedAuth(inSensitive.userAuth, nameAlg);
    if (userAuth === null) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const made = createAny(tpm, parentHandle, parent, template, { ...inSensitive, userAuth });
    if (typeof made === 'number') return made;
    const object = loadedObject(tpm, parentHandle, made.public, made.sensitive);
    const outPrivate =
      parent !== null && !derivation
        ? sensitiveToPrivate(parent, object.name, nameAlg, made.sensitive, tpm.random(IV_SIZE))
        : EMPTY;
    putObject(tpm, handle, object);
    return { handle, outPrivate, outPublic: made.public, name: object.name };
  },
});
